"""Doing things again: failed questions, a group's part of its topic, dead letters.

All of it is safe to do twice. A question is claimed by one conditional UPDATE and stored by another, so a message that
comes again finds its row finished and is passed over.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asgiref.sync import sync_to_async
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from django.db import transaction
from django.db.models import QuerySet

from kafka_chat import positions, questions
from kafka_chat.answering import Answering
from kafka_chat.categorising import Categorising
from kafka_chat.models import ChatMessage, Status
from kafka_chat.persisting import Persisting
from kafka_chat.positions import Position
from llm import runs

# The groups that can be reset, and what they read.
GROUPS: dict[str, str] = {role.group: role.topic for role in (Answering, Persisting, Categorising)}
# Rows in one transaction.
BATCH = 100
# What a broker says to somebody who commits for a group that has members.
_HAS_MEMBERS = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.NON_EMPTY_GROUP,
)


class GroupIsAtWork(Exception):
    """The group has live members, who would go on from where they are. Stop its workers first."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where a partition's reading goes on after a reset."""

    position: Position
    target: int

    @property
    def again(self) -> int:
        """Messages that will be read again; less than none where some will be left out."""
        committed = self.position.committed
        return (self.position.low if committed is None else committed) - self.target


# Finds the offset for a reset in each partition.
Target = Callable[[Consumer, str], dict[int, int]]


def to_earliest(consumer: Consumer, topic: str) -> dict[int, int]:
    """From the first message that is there."""
    return {position.partition: position.low for position in positions.of(consumer, topic)}


def to_latest(consumer: Consumer, topic: str) -> dict[int, int]:
    """Only what comes from now on."""
    return {position.partition: position.high for position in positions.of(consumer, topic)}


def to_offset(offset: int) -> Target:
    """The same offset in each partition."""
    return lambda consumer, topic: {position.partition: offset for position in positions.of(consumer, topic)}


def to_time(time: datetime) -> Target:
    """What was published from this time on."""
    return lambda consumer, topic: positions.at(consumer, topic, time)


def plan_reset(group: str, target: Target, partition: int | None = None) -> list[Move]:
    """Return what a reset would do, in all partitions or in one; targets lie within what there is.

    Raises KafkaException where the broker cannot be reached.
    """
    topic = GROUPS[group]
    with positions.bystander(group) as consumer:
        targets = target(consumer, topic)
        return [
            Move(position, min(max(targets[position.partition], position.low), position.high))
            for position in positions.of(consumer, topic)
            if partition in (None, position.partition)
        ]


def reset(group: str, moves: list[Move]) -> None:
    """Commit the targets for the group. Raises GroupIsAtWork, and KafkaException where the broker says no."""
    with positions.bystander(group) as consumer:
        _commit(consumer, group, {move.position.partition: move.target for move in moves})


def is_at_work(group: str) -> bool:
    """Whether the group has live members. Raises KafkaException.

    The broker is asked to commit what is committed: it lets nobody but members do that where there are any. The
    embedded broker's own description of a group names no members.
    """
    with positions.bystander(group) as consumer:
        there = positions.of(consumer, GROUPS[group])
        try:
            _commit(consumer, group, {each.partition: each.committed for each in there if each.committed is not None})
        except GroupIsAtWork:
            return True
    return False


def _commit(consumer: Consumer, group: str, offsets: dict[int, int]) -> None:
    if not offsets:
        return
    wanted = [TopicPartition(GROUPS[group], partition, offset) for partition, offset in offsets.items()]
    try:
        answers = consumer.commit(offsets=wanted, asynchronous=False)
        for answer in answers or ():
            if answer.error is not None:
                raise KafkaException(answer.error)
    except KafkaException as error:
        if error.args[0].code() in _HAS_MEMBERS:
            raise GroupIsAtWork(group) from None
        raise


def failed(since: datetime | None = None) -> QuerySet[ChatMessage]:
    """Return the questions that failed, oldest first."""
    rows = ChatMessage.objects.filter(status=Status.FAILED).order_by("message_id")
    return rows if since is None else rows.filter(created_at__gte=since)


async def ask_again(ids: Sequence[UUID], *, send: bool = True) -> AsyncIterator[int]:
    """Ask failed questions again, in the order of their ids; yields how many of them each transaction has taken.

    With `send` off only their rows are opened. Raises RedisError: while Redis is away, visitors would be told of the
    earlier failure once more.
    """
    for begin in range(0, len(ids), BATCH):
        batch = ids[begin : begin + BATCH]
        await runs.log().forget(batch)
        yield await sync_to_async(_open_again)(batch, send)


def _open_again(ids: Sequence[UUID], send: bool) -> int:
    with transaction.atomic():
        rows = list(failed().filter(message_id__in=ids).select_for_update(skip_locked=True))
        questions.ask_again(rows, send=send)
    return len(rows)
