"""Dead letters, looked at and sent back to where they came from.

What was sent back is known by the offsets of a group of its own, so a second run sends nothing twice.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Consumer, Message, TopicPartition

from kafka_chat import failures, positions, replaying, topics
from kafka_chat.clients import Publisher

GROUP = "chatbot-dead-letters"
# Seconds to wait for the next letter: where all have come that the broker counts, and where some have not.
_LAST = 0.5
_PATIENCE = 10.0
# Where a letter may go back to.
_ORIGINS = (topics.QUESTIONS, topics.ANSWERS)


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


def unsent(limit: int | None = None) -> list[Letter]:
    """Return the letters that have not been sent back, oldest first in each partition, at most so many.

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
        return _read(consumer, missing=sum(each.lag for each in there), limit=limit)


async def send_back(letters: Sequence[Letter]) -> AsyncIterator[int]:
    """Send letters to the topics that they came from, with their original bytes; yields 1 or 0 for each.

    The question that one is about is opened again where it has failed. A letter that has nowhere to go is passed over.
    Raises DeliveryFailed, KafkaException and RedisError; what was sent until then is not sent again.
    """
    async with Publisher() as publisher:
        with positions.bystander(GROUP) as consumer:
            for letter in letters:
                if letter.topic:
                    await _send(letter, publisher)
                done = TopicPartition(topics.DEAD_LETTERS, letter.partition, letter.offset + 1)
                consumer.commit(offsets=[done], asynchronous=False)
                yield int(bool(letter.topic))


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


def _read(consumer: Consumer, *, missing: int, limit: int | None) -> list[Letter]:
    letters: list[Letter] = []
    give_up_at = time.monotonic() + _PATIENCE
    while limit is None or len(letters) < limit:
        message = consumer.poll(_LAST)
        if message is not None and message.error() is None:
            letters.append(_letter(message))
            give_up_at = time.monotonic() + _PATIENCE
        elif message is None and (len(letters) >= missing or time.monotonic() > give_up_at):
            break
    return letters


def _letter(message: Message) -> Letter:
    partition, offset = message.partition(), message.offset()
    assert partition is not None and offset is not None
    headers = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
        for name, value in failures.headers_of(message).items()
    }
    topic = headers.get("dead_topic", "")
    return Letter(
        message, partition, offset, topic if topic in _ORIGINS else "", headers.get("dead_error", "no reason is given")
    )
