"""Statements past Django's ORM: few connections, none in a bad state, Django's errors."""

import asyncio
import time
import uuid

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, IntegrityError, OperationalError, ProgrammingError, connection

from config import database
from config.database import Connections, Execute
from tests.servers import frozen

pytestmark = pytest.mark.django_db(transaction=True)

_PID = "SELECT pg_backend_pid()"


def _alive(pids: list[int]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY(%s))", [pids])
        (alive,) = cursor.fetchone()
    return bool(alive)


async def test_a_connection_is_kept_and_used_again() -> None:
    assert await database.rows(_PID, []) == await database.rows(_PID, [])


async def test_at_once_there_are_only_so_many() -> None:
    ours = Connections(3)
    pids = await asyncio.gather(*(ours.rows("SELECT pg_backend_pid(), pg_sleep(0.01)", []) for _ in range(20)))
    assert len({rows[0][0] for rows in pids}) == 3
    await ours.aclose()


async def test_one_that_the_server_has_ended_is_not_used_again() -> None:
    ours = Connections(2)
    ((pid,),) = await ours.rows(_PID, [])
    assert await database.rows("SELECT pg_terminate_backend(%s, 5000)", [pid]) == [(True,)]
    assert await ours.rows(_PID, []) != [(pid,)]
    await ours.aclose()


async def test_one_that_ends_in_the_middle_of_a_statement_is_not_used_again() -> None:
    ours = Connections(1)
    for _ in range(2):
        with pytest.raises(OperationalError):
            await ours.rows("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", [])
        assert await ours.rows("SELECT 1", []) == [(1,)]
    await ours.aclose()


async def test_who_is_cancelled_leaves_a_connection_that_works_or_none() -> None:
    ours = Connections(1)
    waiting = asyncio.create_task(ours.rows("SELECT pg_sleep(60)", []))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        assert await ours.rows("SELECT 1", []) == [(1,)]
    await ours.aclose()


async def test_a_statement_that_fails_leaves_a_connection_that_works() -> None:
    ours = Connections(1)
    with pytest.raises(ProgrammingError):
        await ours.rows("SELECT nothing", [])
    with pytest.raises(IntegrityError):
        await ours.rows("INSERT INTO kf_chatmessage (message_id) VALUES (%s) RETURNING 1", [uuid.uuid4()])
    assert await ours.rows("SELECT 1", []) == [(1,)]
    await ours.aclose()


async def test_a_server_that_takes_no_connection_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    ours = Connections(1)
    for _ in range(3):
        with pytest.raises(OperationalError):
            await ours.rows("SELECT 1", [])


async def test_a_server_that_gives_no_answer_counts_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Connections(1)
    assert await ours.rows("SELECT 1", []) == [(1,)]
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    asked = await asyncio.gather(*(ours.rows("SELECT pg_sleep(60)", []) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in asked] == [OperationalError] * 3
    monkeypatch.setattr(database, "PATIENCE", 5.0)
    assert await ours.rows("SELECT 1", []) == [(1,)]
    await ours.aclose()


async def test_nobody_waits_for_the_end_of_a_statement_of_a_server_that_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = Connections(1)
    ((pid,),) = await ours.rows(_PID, [])
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    with frozen(pid):
        asked = [asyncio.create_task(ours.rows("SELECT 1", [])) for _ in range(2)]
        # psycopg takes five seconds to learn that this cannot be cancelled.
        done, _ = await asyncio.wait(asked, timeout=4)
        assert [type(task.exception()) for task in done] == [OperationalError] * 2
    monkeypatch.setattr(database, "PATIENCE", 5.0)
    assert await ours.rows("SELECT 1", []) == [(1,)]
    await ours.aclose()


async def test_statements_together_are_one_transaction() -> None:
    ours = Connections(1)

    async def begun_at(execute: Execute) -> bool:
        await execute("SET LOCAL lock_timeout = '1234ms'")
        return await execute("SHOW lock_timeout") == [("1234ms",)]

    assert await ours.together(begun_at)
    assert await ours.rows("SHOW lock_timeout", []) != [("1234ms",)]
    await ours.aclose()


@pytest.mark.parametrize(
    "failing", ["SELECT nothing", "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", ""]
)
async def test_of_what_fails_together_nothing_stays(failing: str) -> None:
    ours = Connections(1)
    name = f"kept_{uuid.uuid4().hex}"

    async def fails(execute: Execute) -> None:
        await execute(f"CREATE TABLE {name} ()")
        await execute(failing or f"SELECT FROM {name}")
        raise KeyError(name)

    with pytest.raises((DatabaseError, KeyError)):
        await ours.together(fails)
    assert await ours.rows("SELECT to_regclass(%s)", [name]) == [(None,)]
    await ours.aclose()


async def test_who_is_cancelled_in_the_middle_leaves_nothing() -> None:
    ours = Connections(1)
    name, begun = f"kept_{uuid.uuid4().hex}", asyncio.Event()

    async def slow(execute: Execute) -> None:
        await execute(f"CREATE TABLE {name} ()")
        begun.set()
        await execute("SELECT pg_sleep(60)")

    waiting = asyncio.create_task(ours.together(slow))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await ours.rows("SELECT to_regclass(%s)", [name]) == [(None,)]
    await ours.aclose()


def test_connections_end_with_their_event_loop() -> None:
    pids = [async_to_sync(database.rows)(_PID, [])[0][0] for _ in range(3)]
    assert len(set(pids)) == 3
    # The server notices a little later.
    deadline = time.monotonic() + 10
    while _alive(pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)
