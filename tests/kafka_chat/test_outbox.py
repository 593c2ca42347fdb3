"""The relay, on a real database and a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from confluent_kafka import Message
from django.db import transaction
from django.utils import timezone

from kafka_chat import clients, outbox, topics
from kafka_chat.clients import Publisher
from kafka_chat.messages import Question
from kafka_chat.models import OutboxEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


@asynccontextmanager
async def _relaying(relays: int = 1) -> AsyncIterator[None]:
    await asyncio.to_thread(topics.ensure)
    stopping = asyncio.Event()
    async with Publisher() as publisher, asyncio.TaskGroup() as group:
        for _ in range(relays):
            group.create_task(outbox.Relay(publisher, stopping).run())
        try:
            yield
        finally:
            stopping.set()


def _question(number: int = 0, visitor: uuid.UUID | None = None) -> Question:
    visitor = visitor or uuid.uuid4()
    return Question(message_id=uuid.uuid4(), session_id=visitor, trace_id=uuid.uuid4(), message=f"question {number}")


@database_sync_to_async
def _add(*questions: Question) -> None:
    with transaction.atomic():
        outbox.add(topics.QUESTIONS, questions)


@database_sync_to_async
def _unsent() -> int:
    return OutboxEntry.objects.filter(sent_at=None).count()


async def _all_sent(seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while await _unsent():
            await asyncio.sleep(0.02)


async def _published(count: int) -> list[Message]:
    """Return what is on the topic: that many messages, and whatever comes within another second."""

    def read() -> list[Message]:
        consumer = clients.consumer(str(uuid.uuid4()))
        consumer.subscribe([topics.QUESTIONS])
        found: list[Message] = []
        while (message := consumer.poll(1)) is not None or len(found) < count:
            if message is not None and message.error() is None:
                found.append(message)
        consumer.close()
        return found

    async with asyncio.timeout(20):
        return await asyncio.to_thread(read)


async def test_an_entry_is_published_with_its_headers_and_marked() -> None:
    question = _question()
    async with _relaying():
        await _add(question)
        await _all_sent()
        (message,) = await _published(1)
    assert message.value() == question.encode()
    assert message.key() == question.key()
    assert {name: value.decode() for name, value in message.headers() or []} == question.headers()


async def test_the_relay_is_woken_and_does_not_wait_for_its_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LOOK_EVERY", 3600.0)
    async with _relaying():
        for _ in range(3):
            await asyncio.sleep(0.3)
            await _add(_question())
            await _all_sent(seconds=10)


async def test_what_a_rolled_back_transaction_wrote_is_never_sent() -> None:
    @database_sync_to_async
    def add_and_roll_back() -> None:
        with transaction.atomic():
            outbox.add(topics.QUESTIONS, [_question()])
            transaction.set_rollback(True)

    async with _relaying():
        await add_and_roll_back()
        kept = _question()
        await _add(kept)
        await _all_sent()
        assert [message.value() for message in await _published(1)] == [kept.encode()]


async def test_several_relays_send_each_entry_once() -> None:
    visitors = [uuid.uuid4() for _ in range(5)]
    questions = [_question(number, visitors[number % 5]) for number in range(500)]
    async with _relaying(relays=3):
        for start in range(0, 500, 50):
            await _add(*questions[start : start + 50])
        await _all_sent()
        published = [Question.decode(message.value()) for message in await _published(500)]
    assert sorted(question.message_id for question in published) == sorted(
        question.message_id for question in questions
    )


async def test_one_relay_keeps_each_visitor_s_order() -> None:
    visitor = uuid.uuid4()
    questions = [_question(number, visitor) for number in range(300)]
    await _add(*questions)
    async with _relaying():
        await _all_sent()
        published = [Question.decode(message.value()).message for message in await _published(300)]
    assert published == [question.message for question in questions]


def test_sent_entries_are_kept_for_a_while_and_unsent_ones_always() -> None:
    outbox.add(topics.QUESTIONS, [_question(number) for number in range(3)])
    old, recent, _ = OutboxEntry.objects.order_by("id")
    OutboxEntry.objects.filter(pk=old.pk).update(sent_at=timezone.now() - outbox.KEEP_SENT - timedelta(seconds=1))
    OutboxEntry.objects.filter(pk=recent.pk).update(sent_at=timezone.now())
    OutboxEntry.objects.update(created_at=timezone.now() - timedelta(days=30))
    assert outbox.prune() == 1
    assert not OutboxEntry.objects.filter(pk=old.pk).exists()
