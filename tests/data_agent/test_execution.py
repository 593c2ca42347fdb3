import asyncio

import psycopg
import pytest
from channels.db import database_sync_to_async
from django.db import connection
from pytest_django import Settings

from data_agent import execution
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
    wide = await execution.run("SELECT string_agg(email, ',') AS all_emails FROM analytics_users LIMIT 1")
    assert wide.cut
    ((cell,),) = wide.rows
    assert cell is not None
    assert cell.endswith("…")
    assert len(cell.encode()) <= execution.MAX_CELL_BYTES + len("…".encode())
    large = await execution.run(
        "SELECT (SELECT string_agg(name, ',') FROM analytics_users) FROM analytics_purchases LIMIT 1000"
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
    assert await asyncio.to_thread(_count_agents) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(50):
        if await asyncio.to_thread(_count_agents) == 0:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the query is still running")


def _count_agents() -> int:
    with psycopg.connect(_application_url()) as opened:
        row = opened.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'triptych data agent' AND state = 'active'"
        ).fetchone()
        assert row is not None
        return int(row[0])


def _application_url() -> str:
    values = connection.settings_dict
    return f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


async def test_a_query_that_would_be_too_expensive_is_not_offered(analytics: DemoData) -> None:
    with pytest.raises(QueryFailed, match="too expensive"):
        await execution.estimate(
            "SELECT count(*) FROM analytics_purchases a, analytics_purchases b, analytics_purchases c LIMIT 1"
        )


async def test_an_estimate_runs_nothing(analytics: DemoData) -> None:
    estimate = await execution.estimate("SELECT name FROM analytics_users LIMIT 7")
    assert estimate.rows == 7


async def test_postgresqls_own_objections_are_passed_on(analytics: DemoData) -> None:
    with pytest.raises(QueryFailed, match=r'column "analytics_users\.name" must appear in the GROUP BY'):
        await execution.estimate("SELECT name, count(*) FROM analytics_users LIMIT 1")
    with pytest.raises(QueryFailed, match="PostgreSQL: division by zero"):
        await execution.run("SELECT 1 / (id - id) FROM analytics_users LIMIT 1")


async def test_a_role_with_too_many_rights_runs_nothing(analytics: DemoData, settings: Settings) -> None:
    settings.ANALYTICS_DATABASE_URL = _application_url()
    with pytest.raises(Unavailable, match="too many rights"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")


async def test_without_a_database_the_error_says_what_to_do(settings: Settings) -> None:
    settings.ANALYTICS_DATABASE_URL = None
    with pytest.raises(Unavailable, match="create_agent_role"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
    settings.ANALYTICS_DATABASE_URL = "postgres://nobody:nothing@127.0.0.1:1/nothing"
    with pytest.raises(Unavailable, match="cannot be reached"):
        await execution.run("SELECT name FROM analytics_users LIMIT 1")
