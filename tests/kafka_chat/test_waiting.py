"""Held polls, on a real database."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import connection, connections
from django.test import AsyncClient

from kafka_chat import questions, waiting
from kafka_chat.messages import Answer
from kafka_chat.models import ChatMessage

pytestmark = pytest.mark.django_db(transaction=True)


async def _ask(client: AsyncClient) -> Any:
    await client.get("/api/chat/history/")
    response = await client.post("/api/chat/", {"message": "why?"}, content_type="application/json")
    return response.json()


@database_sync_to_async
def _answer(message_id: str, response: str = "because") -> None:
    row = ChatMessage.objects.get(pk=message_id)
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    questions.record(Answer.model_validate(ids | {"response": response}))


@database_sync_to_async
def _open_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (count,) = cursor.fetchone()
    return int(count)


async def test_a_held_poll_returns_when_the_answer_is_stored() -> None:
    client = AsyncClient()
    asked = await _ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=20"))
    await asyncio.sleep(0.5)
    assert not polling.done()
    before = time.monotonic()
    await _answer(asked["message_id"])
    body = (await polling).json()
    assert (body["status"], body["response"]) == ("answered", "because")
    # Not a measurement: a poll that nobody woke would have been held for 20 s.
    assert time.monotonic() - before < 5


async def test_a_held_poll_of_a_finished_question_returns_at_once() -> None:
    client = AsyncClient()
    asked = await _ask(client)
    await _answer(asked["message_id"])
    async with asyncio.timeout(5):
        assert (await client.get(asked["poll_url"] + "&wait=20")).json()["status"] == "answered"


async def test_a_held_poll_ends_with_the_question_still_open() -> None:
    client = AsyncClient()
    asked = await _ask(client)
    response = await client.get(asked["poll_url"] + "&wait=1")
    assert response.json()["status"] == "queued"
    assert response.headers["Retry-After"] == "1"


async def test_another_question_s_end_wakes_nobody() -> None:
    client = AsyncClient()
    asked, other = await _ask(client), await _ask(client)
    async with waiting.waiters().registered(uuid.UUID(asked["message_id"])) as wait:
        await asyncio.sleep(0.5)
        await _answer(other["message_id"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await wait(10)


async def test_held_polls_hold_no_connections() -> None:
    client = AsyncClient()
    asked = await _ask(client)
    before = await _open_connections()
    polls = [asyncio.create_task(client.get(asked["poll_url"] + "&wait=20")) for _ in range(30)]
    await asyncio.sleep(1)
    # All of them share the one that listens.
    assert await _open_connections() <= before + 1
    await _answer(asked["message_id"])
    assert [response.json()["status"] for response in await asyncio.gather(*polls)] == ["answered"] * 30


@pytest.fixture(autouse=True)
async def no_listener_is_left(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Wait for the listener, which ends when it notices that nobody waits, and close what the test left open."""
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.2)
    yield
    if (listener := waiting.waiters()._task) is not None:
        await listener
    await sync_to_async(connections.close_all)()
