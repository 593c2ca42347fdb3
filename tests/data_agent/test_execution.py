import asyncio
import subprocess
import sys
import time

import psycopg
import pytest
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from data_agent import connections, execution, guard, roles
from data_agent.demo_data import DemoData
from data_agent.errors import QueryFailed, Unavailable
from data_agent.models import AnalyticsUser


async def test_cells_come_as_postgresql_writes_them(analytics: DemoData) -> None:
    result = await execution.run(
        "SELECT id, 0.10::numeric AS price, NULL AS nothing, true AS yes, 'infinity'::date AS day, "
        "jsonb_typeof('{}'), ARRAY['a', 'b'], interval '1 day' FROM analytics_users ORDER BY id LIMIT 1"
    )
    assert result.rows == (("1", "0.10", None, "t", "infinity", "object", "{a,b}", "1 day"),)
    assert [(column.name, column.type, column.numeric) for column in result.columns[:3]] == [
        ("id", "int8", True),
        ("price", "numeric", True),
        ("nothing", "text", False),
    ]
    assert not result.cut
    assert result.duration_ms >= 0


@pytest.mark.parametrize(
    "sql", ["SELECT id FROM analytics_users", "DELETE FROM analytics_users", "SELECT 1; SELECT 2", "SELECT pg_sleep(1)"]
)
async def test_what_the_guard_does_not_allow_as_it_stands_is_not_run(analytics: DemoData, sql: str) -> None:
    with pytest.raises(QueryFailed):
        await execution.run(sql)
    assert await database_sync_to_async(AnalyticsUser.objects.count)() == len(analytics.users)


async def test_wide_cells_are_shortened_and_large_results_cut(analytics: DemoData) -> None:
    wide = await execution.run("SELECT string_agg(product_name, ',') AS names FROM analytics_purchases LIMIT 1")
    assert wide.cut
    ((cell,),) = wide.rows
    assert cell is not None
    assert cell.endswith("…")
    assert len(cell.encode()) <= execution.MAX_CELL_BYTES + len("…".encode())
    large = await execution.run(
        "SELECT (SELECT string_agg(brand, ',') FROM analytics_product_specs) FROM analytics_purchases LIMIT 1000"
    )
    assert large.cut
    assert 0 < len(large.rows) < 1000
    assert sum(len((cell or "").encode()) for row in large.rows for cell in row) <= execution.MAX_RESULT_BYTES


HEAVY = (
    "SELECT count(*) FROM analytics_purchases a JOIN analytics_purchases b ON a.quantity + b.quantity > 0 "
    "JOIN analytics_users u ON u.id + a.id > b.id LIMIT 1"
)


async def test_a_slow_query_is_ended_in_words(analytics: DemoData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "STATEMENT_SECONDS", 1)
    with pytest.raises(QueryFailed, match="took longer than"):
        await execution.run(HEAVY)


async def test_cancelling_ends_the_query_in_the_database(analytics: DemoData) -> None:
    task = asyncio.create_task(execution.run(HEAVY))
    await asyncio.sleep(0.7)
    assert await asyncio.to_thread(_count_agents, "active") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(50):
        if await asyncio.to_thread(_count_agents, "active") == 0:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the query is still running")


def _count_agents(state: str, name: str = "triptych data agent") -> int:
    """Return how many sessions of that name there are, in that state if one is given."""
    with psycopg.connect(_application_url()) as opened:
        row = opened.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND (state = %s OR %s = '')",
            [name, state, state],
        ).fetchone()
        assert row is not None
        return int(row[0])


async def _as_application(statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(_application_url(), autocommit=True) as opened:
        await opened.execute(statement.encode())


def _application_url() -> str:
    values = connection.settings_dict
    return f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


async def test_a_query_that_would_be_too_expensive_is_not_offered(analytics: DemoData) -> None:
    with pytest.raises(QueryFailed, match="too expensive"):
        await execution.estimate(
            "SELECT count(*) FROM analytics_purchases a JOIN analytics_purchases b ON a.id <> b.id "
            "JOIN analytics_purchases c ON c.id <> b.id LIMIT 1"
        )


async def test_an_estimate_runs_nothing(analytics: DemoData) -> None:
    estimate = await execution.estimate("SELECT name FROM analytics_users LIMIT 7")
    assert estimate.rows == 7


async def test_postgresqls_own_objections_are_passed_on(analytics: DemoData) -> None:
    with pytest.raises(QueryFailed, match=r'column "analytics_users\.name" must appear in the GROUP BY'):
        await execution.estimate("SELECT name, count(*) FROM analytics_users LIMIT 1")
    with pytest.raises(QueryFailed, match="PostgreSQL: division by zero"):
        await execution.run("SELECT 1 / (id - id) FROM analytics_users LIMIT 1")


async def test_personal_data_is_masked_unless_the_person_may_see_it(analytics: DemoData) -> None:
    query = "SELECT id, name, email FROM analytics_users ORDER BY id LIMIT 1"
    ((number, name, email),) = (await execution.run(query)).rows
    assert (name, email) == (f"masked-{number}",) * 2
    user = analytics.users[0]
    ((_, name, email),) = (await execution.run(query, personal=True)).rows
    assert (name, email) == (user.name, user.email)
    hidden = await execution.run(f"SELECT count(*) FROM analytics_users WHERE email = '{user.email}' LIMIT 1")
    assert hidden.rows == (("0",),)


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """No role was found to be right yet, as at the start of a process."""
    monkeypatch.setattr(connections, "_verified", {})


async def test_a_role_with_too_many_rights_runs_nothing(
    analytics: DemoData, settings: Settings, unverified: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ANALYTICS_DATABASE_URL = _application_url()
    with pytest.raises(Unavailable, match="can do too much or too little"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
    # The worst is looked for each time, whatever was verified before.
    role = roles.from_url(settings.ANALYTICS_DATABASE_URL).name
    connections._verified[settings.ANALYTICS_DATABASE_URL, role] = time.monotonic()
    with pytest.raises(Unavailable, match="can do too much or too little"):
        await execution.estimate("SELECT name FROM analytics_users LIMIT 1")


async def test_nothing_runs_until_the_role_is_as_it_should_be_and_then_it_does(
    analytics: DemoData, unverified: None
) -> None:
    name = roles.from_url(settings.ANALYTICS_DATABASE_URL).name
    await _as_application(f'ALTER ROLE "{name}" SET lock_timeout = 0')
    try:
        with pytest.raises(Unavailable, match="create_agent_role"):
            await execution.run("SELECT plan FROM analytics_users LIMIT 1")
        assert await execution.run("SELECT plan FROM analytics_users LIMIT 1", personal=True)
    finally:
        await _as_application(f"ALTER ROLE \"{name}\" SET lock_timeout = '1s'")
    assert await execution.run("SELECT plan FROM analytics_users LIMIT 1")


async def test_what_a_role_can_do_is_asked_once_a_minute_and_not_for_each_query(
    analytics: DemoData, unverified: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(roles, "problem_parameters", lambda role: asked.append(role) or _PARAMETERS(role))
    for _ in range(3):
        await execution.run("SELECT plan FROM analytics_users LIMIT 1")
    assert len(asked) == 1
    monkeypatch.setattr(connections, "VERIFIED_SECONDS", 0.0)
    await execution.run("SELECT plan FROM analytics_users LIMIT 1")
    assert len(asked) == 2


_PARAMETERS = roles.problem_parameters


async def test_the_transaction_is_read_only_bounded_and_never_committed(analytics: DemoData) -> None:
    async with execution._transaction(7, personal=False) as cursor:
        await cursor.execute(
            "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout'), "
            "current_setting('transaction_timeout'), current_setting('search_path'), current_user"
        )
        row = await cursor.fetchone()
        role = roles.from_url(settings.ANALYTICS_DATABASE_URL)
        assert row == ("on", "7s", "15s", "analytics_masked, public, pg_temp", role.name)
        with pytest.raises(psycopg.errors.SyntaxError, match="multiple commands"):
            await cursor.execute(b"SELECT 1; SELECT 2", prepare=True)
    assert await asyncio.to_thread(_count_agents, "") == 0


async def test_the_servers_protocol_takes_one_statement_only_also_where_the_guard_would_fail(
    analytics: DemoData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "check", lambda sql, personal: guard.Verdict(True, sql))
    for sql in ("SELECT 1; SELECT 2", "COMMIT; DELETE FROM analytics_users"):
        with pytest.raises(QueryFailed, match="multiple commands"):
            await execution.run(sql)
    for sql in ("DELETE FROM public.analytics_users", "SELECT * FROM auth_user", "SELECT pg_read_file('x')"):
        with pytest.raises(QueryFailed, match=r"permission denied|read-only"):
            await execution.run(sql)


def test_a_query_whose_process_is_gone_is_ended_by_the_server(analytics: DemoData) -> None:
    program = (
        "import os, psycopg, sys; c = psycopg.connect(sys.argv[1], application_name='gone'); "
        "c.pgconn.send_query(sys.argv[2].encode()); c.pgconn.flush(); print('sent', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program, settings.ANALYTICS_DATABASE_URL, HEAVY]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"sent\n"
        for _ in range(100):
            if _count_agents("active", "gone"):
                break
            time.sleep(0.05)
        else:
            pytest.fail("the query did not begin")
        child.kill()
    # Its statement timeout is ten seconds; nobody sent a cancellation.
    for _ in range(160):
        if _count_agents("", "gone") == 0:
            return
        time.sleep(0.05)
    pytest.fail("the query is still running")


async def test_a_row_of_many_empty_cells_counts_too(analytics: DemoData) -> None:
    cells = ", ".join("''" for _ in range(1_400))
    result = await execution.run(f"SELECT {cells} FROM analytics_purchases LIMIT 1000")
    assert result.cut
    assert len(result.rows) == execution.MAX_RESULT_BYTES // 1_400


async def test_without_a_database_the_error_says_what_to_do(settings: Settings) -> None:
    settings.ANALYTICS_DATABASE_URL = None
    with pytest.raises(Unavailable, match="create_agent_role"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
    settings.ANALYTICS_DATABASE_URL = "postgres://someone@127.0.0.1/x"
    with pytest.raises(Unavailable, match="must name a role and its password"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
    settings.ANALYTICS_DATABASE_URL = "postgres://nobody:nothing@127.0.0.1:1/nothing"
    with pytest.raises(Unavailable, match="cannot be reached"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
