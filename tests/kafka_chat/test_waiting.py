"""Held polls, on a real database and a real run log."""

import asyncio
import time
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.test import AsyncClient
from pytest_django import Settings

from kafka_chat import asking, waiting
from kafka_chat.models import ChatMessage
from llm.runs import RunLog
from tests.kafka_chat.asking import ask, begin, newcomer, store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The questions whose rows were looked at."""
    looked: list[uuid.UUID] = []
    find = asking.find

    async def noting(session_id: uuid.UUID, message_id: uuid.UUID) -> object:
        looked.append(message_id)
        return await find(session_id, message_id)

    monkeypatch.setattr(asking, "find", noting)
    return looked


@pytest.fixture
def redis_is_away(settings: Settings) -> None:
    """Nobody listens at its address. To be asked for before the event loop has its run log."""
    settings.REDIS_URL = "redis://127.0.0.1:1"


@sync_to_async
def _open_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (count,) = cursor.fetchone()
    return int(count)


async def test_a_held_poll_returns_when_the_run_ends_and_has_looked_once(
    looks: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TICK", 0.05)
    client = await newcomer()
    asked = await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=20"))
    while not looks:
        await asyncio.sleep(0.01)
    writer = await begin(asked)
    writer.write("because")
    await asyncio.sleep(0.2)
    assert not polling.done()
    before = time.monotonic()
    await store(asked)
    response = await polling
    # Not a measurement: a poll that nobody woke would have been held for 20 s.
    assert time.monotonic() - before < 5
    assert len(looks) == 1
    assert (response.json()["status"], response.json()["response"]) == ("answered", "because")
    assert response.json() == (await client.get(asked["poll_url"])).json()


async def test_a_held_poll_of_a_finished_question_returns_at_once() -> None:
    client = await newcomer()
    asked = await ask(client)
    await store(asked)
    async with asyncio.timeout(5):
        assert (await client.get(asked["poll_url"] + "&wait=20")).json()["status"] == "answered"


async def test_a_held_poll_ends_with_the_question_still_open() -> None:
    client = await newcomer()
    asked = await ask(client)
    response = await client.get(asked["poll_url"] + "&wait=1")
    assert response.json()["status"] == "queued"
    assert response.headers["Retry-After"] == "1"


async def test_another_visitor_s_question_is_not_waited_for() -> None:
    asked = await ask(await newcomer())
    async with asyncio.timeout(5):
        assert (await AsyncClient().get(asked["poll_url"] + "&wait=20")).status_code == 404


async def test_another_question_s_end_wakes_nobody() -> None:
    client = await newcomer()
    asked, other = await ask(client), await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=2"))
    await asyncio.sleep(0.3)
    await store(other)
    assert (await polling).json()["status"] == "queued"


async def test_held_polls_hold_no_connections_and_leave_no_readers(run_log: RunLog, settings: Settings) -> None:
    client = await newcomer()
    asked = await ask(client)
    before = await _open_connections()
    polls = [asyncio.create_task(client.get(asked["poll_url"] + "&wait=20")) for _ in range(30)]
    await asyncio.sleep(1)
    assert await _open_connections() <= before + settings.DATABASE_DIRECT_CONNECTIONS
    await store(asked)
    assert [response.json()["status"] for response in await asyncio.gather(*polls)] == ["answered"] * 30
    assert not run_log._mirrors


async def test_an_answer_whose_end_nobody_could_say_is_found_at_the_end_of_the_hold() -> None:
    client = await newcomer()
    asked = await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=2"))
    await asyncio.sleep(0.3)
    await store(asked, announced=False)
    assert (await polling).json()["status"] == "answered"


async def test_an_end_without_an_answer_makes_polls_look_at_the_row(run_log: RunLog) -> None:
    client = await newcomer()
    asked = await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=20"))
    await asyncio.sleep(0.3)
    await run_log.end(uuid.UUID(asked["message_id"]), "interrupted")
    await asyncio.sleep(0.3)
    assert not polling.done()
    await store(asked, announced=False)
    async with asyncio.timeout(10):
        assert (await polling).json()["status"] == "answered"


@pytest.mark.usefixtures("redis_is_away")
async def test_with_redis_away_the_row_is_looked_at(looks: list[uuid.UUID]) -> None:
    client = await newcomer()
    asked = await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=20"))
    await asyncio.sleep(0.5)
    assert not polling.done()
    await store(asked)
    async with asyncio.timeout(10):
        assert (await polling).json()["status"] == "answered"
    assert len(looks) >= 2


async def test_a_row_that_cannot_be_read_for_a_moment_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = await newcomer()
    asked = await ask(client)
    find, looked = asking.find, 0

    async def failing(session_id: uuid.UUID, message_id: uuid.UUID) -> object:
        nonlocal looked
        looked += 1
        if looked == 2:
            raise OperationalError("PostgreSQL is away")
        return await find(session_id, message_id)

    monkeypatch.setattr(asking, "find", failing)
    row = await ChatMessage.objects.aget(pk=asked["message_id"])
    happenings = waiting.follow(row.session_id, row.message_id, 0, seconds=20, look_every=0)
    monkeypatch.setattr(waiting, "TICK", 0.05)
    await store(asked, announced=False)
    async with asyncio.timeout(10):
        found = [each async for each in happenings if each is not None]
    assert isinstance(found[0], waiting.Finished)
