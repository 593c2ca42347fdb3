"""From the approval of a query to its rows at the page's socket: `python -m benchmarks.agent_approval`, half a minute.

On real servers, through the data agent's consumer: its frames, its audit events, its transitions, and the query on a
connection of its own as the analyst role. Each approval is followed by the floor: the same text on a connection that is
open already, as nothing but that query. The two take turns; what is printed is the difference too, which is what the
approval costs beyond the query itself.

What analysts ask for is measured with the queries of the verified questions that ship with the project, one after the
other; and then what the number of rows does to it, up to the most there may be.
"""

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from tests.servers import Servers, forget_settings

_ROUNDS = 200
_WARM_UP = 20
# Seconds from the card to the approval: far less than anybody needs.
_READING = 0.15
_SQL = {
    "customers by country": "SELECT country, count(*) AS customers FROM analytics_users GROUP BY country LIMIT 100",
    "revenue by month": (
        "SELECT date_trunc('month', purchased_at)::date AS month, sum(total_amount) AS revenue FROM "
        "analytics_purchases WHERE status = 'completed' GROUP BY month ORDER BY month LIMIT 100"
    ),
    "1,000 purchases": "SELECT * FROM analytics_purchases ORDER BY id LIMIT 1000",
}


def main() -> None:
    """Start servers, measure, stop them."""
    forget_settings()
    servers = Servers("postgres", "valkey")
    try:
        os.environ |= servers.settings | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": "the benchmark's secret key, which is long enough and signs nothing of value",
            "KAFKA_BOOTSTRAP_SERVERS": "unused:1",
            "LLM_CHAT": "scripted",
            "LLM_SQL": "scripted",
            "LOG_LEVEL": "ERROR",
        }
        import django

        django.setup()
        _prepare()
        # The loop of the web server.
        uvloop.run(_measure_all())
    finally:
        servers.stop()


def _prepare() -> None:
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command

    call_command("migrate", verbosity=0, skip_checks=True)
    call_command("create_agent_role", verbosity=0)
    call_command("load_analytics")
    analyst = User.objects.create_user("analyst")
    analyst.user_permissions.add(Permission.objects.get(codename="use_data_agent"))


def _verified() -> list[str]:
    from data_agent import guard
    from data_agent.verified import shipped

    return [guard.check(each.sql).sql for each in shipped()]


async def _measure_all() -> None:
    await _measure("verified questions", _verified())
    for name, sql in _SQL.items():
        await _measure(name, [sql])


async def _measure(name: str, texts: Sequence[str]) -> None:
    import psycopg
    from channels.routing import URLRouter
    from channels.testing import WebsocketCommunicator
    from django.conf import settings
    from django.contrib.auth.models import User

    from data_agent.routing import websocket_urlpatterns

    socket = WebsocketCommunicator(URLRouter(websocket_urlpatterns), "/ws/data-agent/")
    socket.scope |= {"user": await User.objects.aget(username="analyst"), "client": ["127.0.0.1", 1]}
    await socket.connect()
    opened = await psycopg.AsyncConnection.connect(settings.ANALYTICS_DATABASE_URL)
    approvals: list[float] = []
    queries: list[float] = []
    cpu = 0.0
    for turn, sql in zip(range(_WARM_UP + _ROUNDS), itertools.cycle(texts), strict=False):
        step = await _proposal(sql)
        await _show(socket, step)
        used, started = time.process_time(), time.perf_counter()
        await socket.send_json_to({"type": "approve", "step": str(step.pk), "sha256": step.sql_sha256})
        await _until(socket, "executed")
        took, used = time.perf_counter() - started, time.process_time() - used
        await _until(socket, "answered")
        started = time.perf_counter()
        await (await opened.execute(step.sql)).fetchall()
        await opened.rollback()
        if turn >= _WARM_UP:
            approvals.append(took)
            queries.append(time.perf_counter() - started)
            cpu += used
    await opened.close()
    await socket.disconnect()
    _print(name, approvals, queries, cpu / _ROUNDS)


async def _proposal(sql: str) -> Any:
    """Put a query before the analyst as if a model had proposed it; that is not what is measured."""
    from channels.db import database_sync_to_async
    from django.contrib.auth.models import User

    from data_agent import drafting, storing
    from data_agent.audit import Person
    from data_agent.models import Session

    analyst = await User.objects.aget(username="analyst")
    person = Person(analyst.pk, "analyst")
    examined = await drafting.examine(sql)
    assert not examined.problem, examined.problem

    def store() -> Any:
        session = Session.objects.create(owner=analyst, title="Benchmark")
        return storing.add_step(person, session, "Benchmark", drafting.Draft(examined))

    return await database_sync_to_async(store)()


async def _show(socket: Any, step: Any) -> None:
    """Put the card before the person, as after a reload; they read it, and the server uses the time."""
    await socket.send_json_to({"type": "open", "session": str(step.session_id)})
    assert (await socket.receive_json_from(timeout=30))["type"] == "ready"
    await asyncio.sleep(_READING)


async def _until(socket: Any, state: str) -> None:
    while True:
        frame = await socket.receive_json_from(timeout=30)
        assert frame["type"] != "error", frame
        if frame["type"] == "step" and frame["step"]["state"] == state:
            return


def _print(name: str, approvals: list[float], queries: list[float], cpu: float) -> None:
    beyond = [(approval - query) * 1000 for approval, query in zip(approvals, queries, strict=True)]
    cuts = statistics.quantiles(beyond, n=100)
    print(
        f"{name:<24} approve to rows {statistics.median(approvals) * 1000:6.1f} ms   the query itself "
        f"{statistics.median(queries) * 1000:6.1f} ms   beyond it: median {cuts[49]:6.1f} ms, p90 {cuts[89]:6.1f} ms, "
        f"CPU of this process {cpu * 1000:5.1f} ms"
    )


if __name__ == "__main__":
    main()
