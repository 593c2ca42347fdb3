"""Dead letters, looked at, and sent back to where they came from or dismissed.

What was is known by the offsets of a group of its own, so a second run sends nothing twice. The bytes stay in the topic
either way, until the broker deletes them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from confluent_kafka import Consumer, Message, TopicPartition
from django.utils.translation import gettext_noop

from kafka_chat import failures, positions, replaying, topics
from kafka_chat.clients import Publisher

GROUP = "chatbot-dead-letters"
# Seconds to wait for the next letter: where all have come that the broker counts, and where some have not.
_LAST = 0.5
_PATIENCE = 10.0
# What is said where there is no reason; in English, and translated where it is shown.
NO_REASON = gettext_noop("no reason is given")
# Where a letter may go back to.
_ORIGINS = (topics.QUESTIONS, topics.ANSWERS)

# What somebody wants to see of a letter.
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `topic` is where it came from, empty where that is not known or none of ours."""

    message: Message
    partition: int
    offset: int
    topic: str
    reason: str

    @property
    def buried_at(self) -> datetime:
        """When it was published."""
        return datetime.fromtimestamp(self.message.timestamp()[1] / 1000, UTC)

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.message.value() or b"")


def latest(limit: int, seconds: float, show: Callable[[Letter], Shown]) -> list[Shown]:
    """Return what is to be shown of the newest letters of each partition, as many as come in so many seconds.

    `show` leaves out what is large: whoever asks keeps nothing else. Blocks; raises KafkaException.
    """
    with positions.bystander(GROUP) as consumer:
        begins = {
            each.partition: (max(each.low, each.high - limit), each.high)
            for each in positions.of(consumer, topics.DEAD_LETTERS)
        }
        consumer.assign([TopicPartition(topics.DEAD_LETTERS, number, begin) for number, (begin, _) in begins.items()])
        missing = sum(end - begin for begin, end in begins.values())
        end_at = time.monotonic() + seconds
        found = []
        for letter in _read(consumer, missing=missing, patience=seconds):
            found.append(show(letter))
            if time.monotonic() > end_at:
                break
    return found


def unsent(limit: int | None = None) -> list[Letter]:
    """Return the letters that were neither sent back nor dismissed, oldest first in each partition, at most so many.

    Blocks until the broker has given all of them. Raises KafkaException.
    """
    with positions.bystander(GROUP) as consumer:
        there = positions.of(consumer, topics.DEAD_LETTERS)
        consumer.assign(
            [
                TopicPartition(topics.DEAD_LETTERS, each.partition, max(each.low, each.committed or each.low))
                for each in there
            ]
        )
        return list(islice(_read(consumer, missing=sum(each.lag for each in there), patience=_PATIENCE), limit))


async def send_back(letters: Sequence[Letter]) -> AsyncIterator[int]:
    """Send letters to the topics that they came from, with their original bytes; yields 1 or 0 for each.

    The question that one is about is opened again where it has failed. A letter that has nowhere to go is passed over.
    Raises DeliveryFailed, KafkaException and RedisError; what was sent until then is not sent again.
    """
    async with Publisher() as publisher, _list() as take_off:
        for letter in letters:
            if letter.topic:
                await _send(letter, publisher)
            await take_off(letter)
            yield int(bool(letter.topic))


async def dismiss(letters: Sequence[Letter]) -> AsyncIterator[int]:
    """Take letters off the list without sending them; yields 1 for each. Raises KafkaException."""
    async with _list() as take_off:
        for letter in letters:
            await take_off(letter)
            yield 1


@asynccontextmanager
async def _list() -> AsyncIterator[Callable[[Letter], Awaitable[None]]]:
    """Yield what takes a letter, and those before it in its partition, off the list of the unsent."""
    with ExitStack() as stack:
        # It blocks, and the event loop may be that of a web server.
        consumer = await asyncio.to_thread(stack.enter_context, positions.bystander(GROUP))

        async def take_off(letter: Letter) -> None:
            done = TopicPartition(topics.DEAD_LETTERS, letter.partition, letter.offset + 1)
            await asyncio.to_thread(lambda: consumer.commit(offsets=[done], asynchronous=False))

        yield take_off


async def _send(letter: Letter, publisher: Publisher) -> None:
    question = failures.question_of(letter.message)
    if question is not None:
        async for _ in replaying.ask_again([question], send=False):
            pass
    await publisher.send(
        letter.topic,
        key=letter.message.key(),
        value=letter.message.value(),
        headers=failures.original(failures.headers_of(letter.message)),
    )


def _read(consumer: Consumer, *, missing: int, patience: float) -> Iterator[Letter]:
    """Yield what the consumer is given, until all have come that the broker counts, or none for so many seconds."""
    read = 0
    give_up_at = time.monotonic() + patience
    while True:
        message = consumer.poll(min(_LAST, patience))
        if message is not None and message.error() is None:
            read += 1
            give_up_at = time.monotonic() + patience
            yield _letter(message)
        elif message is None and (read >= missing or time.monotonic() > give_up_at):
            return


def _letter(message: Message) -> Letter:
    partition, offset = message.partition(), message.offset()
    assert partition is not None and offset is not None
    headers = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
        for name, value in failures.headers_of(message).items()
    }
    topic = headers.get("dead_topic", "")
    return Letter(message, partition, offset, topic if topic in _ORIGINS else "", headers.get("dead_error", NO_REASON))
