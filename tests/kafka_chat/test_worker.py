"""The whole pipeline on a real broker and a real database, with the scripted model."""

import asyncio
import json
import uuid
from collections.abc import Callable
from itertools import pairwise

import pytest
from channels.db import database_sync_to_async
from confluent_kafka import Message
from django.db import OperationalError

from kafka_chat import claims, clients, topics
from kafka_chat.clients import Publisher
from kafka_chat.models import OPEN, ChatMessage, OutboxEntry, Status
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import working

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

ask = database_sync_to_async(ask_here)


async def _finished(row: ChatMessage, seconds: float = 30) -> ChatMessage:
    """Return the row once it is answered or failed."""
    async with asyncio.timeout(seconds):
        while True:
            found = await ChatMessage.objects.aget(pk=row.pk)
            if found.status not in OPEN:
                return found
            await asyncio.sleep(0.02)


async def _dead_letters(count: int) -> list[Message]:
    """Return that many dead letters."""

    def read() -> list[Message]:
        consumer = clients.consumer(str(uuid.uuid4()))
        consumer.subscribe([topics.DEAD_LETTERS])
        found: list[Message] = []
        while len(found) < count:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found.append(message)
        consumer.close()
        return found

    async with asyncio.timeout(30):
        return await asyncio.to_thread(read)


async def _publish(topic: str, value: bytes) -> None:
    async with Publisher() as publisher:
        await publisher.send(topic, key=b"k", value=value, headers={"message_id": "7"})


async def test_a_question_is_answered_and_says_by_whom() -> None:
    async with working():
        row = await _finished(await ask(uuid.uuid4(), "What is an outbox?"))
    assert row.status == Status.ANSWERED
    assert "What is an outbox?" in row.response
    assert (row.provider, row.model, row.fallback, row.attempts) == ("scripted", "script", False, 1)
    assert row.answered_at and row.picked_up_at and row.first_token_at
    assert row.created_at <= row.picked_up_at <= row.first_token_at <= row.answered_at
    assert row.completion_tokens


async def test_questions_asked_before_any_worker_runs_are_answered() -> None:
    rows = [await ask(uuid.uuid4(), f"question {number}") for number in range(20)]
    async with working():
        finished = [await _finished(row) for row in rows]
    assert all(f"question {number}" in row.response for number, row in enumerate(finished))
    assert await OutboxEntry.objects.filter(sent_at=None).acount() == 0


async def test_one_visitor_is_answered_in_the_order_of_asking() -> None:
    visitor = uuid.uuid4()
    rows = [await ask(visitor, f"question {number}") for number in range(6)]
    async with working(concurrency=6):
        finished = [await _finished(row) for row in rows]
    for before, after in pairwise(finished):
        assert before.answered_at is not None and after.first_token_at is not None
        assert before.answered_at <= after.first_token_at


async def test_the_model_is_told_the_conversation_so_far() -> None:
    visitor = uuid.uuid4()
    async with working():
        first = await _finished(await ask(visitor, "hello"))
        second = await _finished(await ask(visitor, "hello"))
    assert first.prompt_tokens is not None and second.prompt_tokens is not None
    assert second.prompt_tokens > first.prompt_tokens


async def test_a_model_that_fails_for_good_gives_a_visible_failure() -> None:
    async with working():
        row = await _finished(await ask(uuid.uuid4(), "scene:rejected"))
    assert row.status == Status.FAILED
    assert row.error == "The model is not set up correctly. Please tell the operator of this site."
    assert row.response == ""


async def test_characters_that_cannot_be_stored_cost_no_answer() -> None:
    async with working():
        row = await _finished(await ask(uuid.uuid4(), "scene:unstorable"))
    assert (row.status, row.response, row.attempts) == (Status.ANSWERED, "one\ufffd \ufffdtwo", 1)


async def test_an_answer_that_breaks_off_is_tried_again_and_then_fails() -> None:
    async with working():
        row = await _finished(await ask(uuid.uuid4(), "scene:cut"))
    assert (row.status, row.error) == (Status.FAILED, "The answer broke off. Please ask again.")


@pytest.mark.parametrize("topic", [topics.QUESTIONS, topics.ANSWERS])
async def test_poison_becomes_a_dead_letter_and_stops_nobody(topic: str) -> None:
    async with working():
        await _publish(topic, b"\x00not json")
        (letter,) = await _dead_letters(1)
        row = await _finished(await ask(uuid.uuid4(), "still there?"))
    assert letter.value() == b"\x00not json"
    headers = dict(letter.headers() or [])
    assert headers["dead_topic"] == topic.encode()
    assert headers["message_id"] == b"7"
    assert headers["dead_error"].startswith(b"UnreadableMessage")
    assert row.status == Status.ANSWERED


async def test_a_question_without_a_row_becomes_a_dead_letter() -> None:
    ids = {name: str(uuid.uuid4()) for name in ("message_id", "session_id", "trace_id")}
    async with working("answer"):
        await _publish(topics.QUESTIONS, json.dumps(ids | {"message": "whose?"}).encode())
        (letter,) = await _dead_letters(1)
    assert dict(letter.headers() or [])["dead_error"].startswith(b"DoesNotExist")


async def test_a_question_delivered_twice_is_answered_once() -> None:
    row = await ask(uuid.uuid4(), "twice")
    entry = await OutboxEntry.objects.aget()
    async with working():
        await _finished(row)
        async with Publisher() as publisher:
            for _ in range(3):
                await publisher.send(topics.QUESTIONS, key=entry.key, value=entry.value, headers={})
        await _finished(await ask(row.session_id, "after"))
        row = await _finished(row)
    assert row.attempts == 1


async def test_a_worker_that_is_stopped_finishes_what_it_has_begun() -> None:
    row = await ask(uuid.uuid4(), "scene:slow")
    async with working() as worker:
        await _until(lambda: ChatMessage.objects.filter(pk=row.pk, status=Status.GENERATING).exists())
        worker.stop()
    # The answer is on its topic; whoever persists next stores it.
    async with working("persist"):
        row = await _finished(row)
    assert (row.status, row.attempts) == (Status.ANSWERED, 1)


async def test_what_is_not_done_in_the_drain_time_is_given_back() -> None:
    row = await ask(uuid.uuid4(), "scene:slow")
    async with working(drain_seconds=0.1) as worker:
        await _until(lambda: ChatMessage.objects.filter(pk=row.pk, status=Status.GENERATING).exists())
        worker.stop()
    row = await ChatMessage.objects.aget(pk=row.pk)
    assert row.status == Status.QUEUED
    async with working():
        row = await _finished(row)
    assert (row.status, row.attempts) == (Status.ANSWERED, 2)


async def test_a_worker_that_cannot_give_back_what_it_has_begun_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(_: object) -> None:
        raise OperationalError("PostgreSQL is away")

    monkeypatch.setattr(claims, "release", away)
    row = await ask(uuid.uuid4(), "scene:slow")
    async with asyncio.timeout(30):
        async with working(drain_seconds=0.1) as worker:
            await _until(lambda: ChatMessage.objects.filter(pk=row.pk, status=Status.GENERATING).exists())
            worker.stop()
    row = await ChatMessage.objects.aget(pk=row.pk)
    assert row.status == Status.GENERATING


async def test_too_many_dead_letters_in_a_row_stop_the_worker() -> None:
    from kafka_chat.failures import TooManyDeadLetters

    with pytest.raises(TooManyDeadLetters):
        async with working("answer") as worker:
            async with Publisher() as publisher:
                for _ in range(25):
                    await publisher.send(topics.QUESTIONS, key=b"k", value=b"bad", headers={})
            async with asyncio.timeout(30):
                await worker._stopping.wait()
    assert len(await _dead_letters(20)) == 20


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await database_sync_to_async(condition)():
            await asyncio.sleep(0.02)
