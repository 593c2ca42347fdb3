import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from django.conf import settings

from data_agent import connections, execution
from data_agent.connections import Ahead
from data_agent.demo_data import DemoData

ONE = "SELECT count(*) FROM analytics_users LIMIT 1"
OPEN = "application_name = 'triptych data agent' AND datname = current_database()"


@pytest.fixture
async def ahead(analytics: DemoData) -> AsyncIterator[Ahead]:
    opened = Ahead()
    yield opened
    await opened.aclose()


def _ask_server(statement: str) -> int:
    """Ask as the agent's role, which sees its own sessions and may end them."""
    with psycopg.connect(settings.ANALYTICS_DATABASE_URL) as opened:
        row = opened.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])


async def _until_open(count: int, state: str = "idle") -> None:
    """Wait until there are so many connections of the agent in that state."""
    statement = f"SELECT count(*) FROM pg_stat_activity WHERE {OPEN} AND state = '{state}' AND query LIKE '%ROLLBACK%'"
    found = -1
    for _ in range(100):
        found = await asyncio.to_thread(_ask_server, statement)
        if found == count:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{found} connections")


async def test_a_query_runs_on_the_connection_that_was_opened_ahead(
    analytics: DemoData, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead.prepare(personal=False)
    await _until_open(1)
    with monkeypatch.context() as patch:
        patch.setattr(connections, "connect", None)
        result = await execution.run(ONE, ahead=ahead)
    assert result.rows == ((str(len(analytics.users)),),)
    await _until_open(0)
    assert (await execution.run(ONE, ahead=ahead)).rows == result.rows, "it is used once; then there is a new one"


async def test_one_that_is_still_being_opened_is_waited_for(ahead: Ahead) -> None:
    ahead.prepare(personal=True)
    assert (await execution.run(ONE, personal=True, ahead=ahead)).rows
    await _until_open(0)


async def test_it_is_not_used_for_who_sees_other_data(ahead: Ahead) -> None:
    ahead.prepare(personal=True)
    assert await ahead.take(personal=False) is None
    ahead.prepare(personal=False)
    opened = await ahead.take(personal=False)
    assert opened is not None
    assert opened.info.user == "triptych_analyst"
    await opened.close()


async def test_one_that_postgresql_has_ended_is_replaced(ahead: Ahead) -> None:
    ahead.prepare(personal=False)
    await _until_open(1)
    ended = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {OPEN}"
    assert await asyncio.to_thread(_ask_server, ended) == 1
    assert (await execution.run(ONE, ahead=ahead)).rows


async def test_it_is_closed_when_nobody_approves(ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "AHEAD_SECONDS", 1.0)
    ahead.prepare(personal=False)
    await _until_open(1)
    await _until_open(0)
    assert await ahead.take(personal=False) is None


async def test_it_is_closed_also_where_nobody_waits_for_that(ahead: Ahead) -> None:
    ahead.prepare(personal=False)
    await _until_open(1)
    closing = asyncio.create_task(ahead.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await _until_open(0)


async def test_few_pages_have_one(analytics: DemoData) -> None:
    pages = [Ahead() for _ in range(connections.MOST_AHEAD + 2)]
    for page in pages:
        page.prepare(personal=False)
    await _until_open(connections.MOST_AHEAD)
    await asyncio.gather(*(page.aclose() for page in pages))
    await _until_open(0)
    another = Ahead()
    another.prepare(personal=False)
    await _until_open(1)
    await another.aclose()


async def test_a_page_that_has_ended_opens_none(ahead: Ahead) -> None:
    await ahead.aclose()
    ahead.prepare(personal=False)
    assert await ahead.take(personal=False) is None
