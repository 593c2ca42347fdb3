"""Reads a topic with many messages in flight, one at a time for each key, and commits only what is done.

librdkafka wants to be polled, and asyncio wants not to be blocked, so a thread polls and hands what has come to the
event loop. It reads far ahead, because a pause is dear: librdkafka throws away what it has fetched, and what it had
asked the broker for is waited for first. Where so much waits that more would be a burden, the thread looks away for a
moment; where that does not help, the partitions are paused, and polling goes on: a consumer that does not poll loses
its membership. Delivery is at least once; handlers are idempotent.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from kafka_chat import clients, positions
from kafka_chat.lanes import Lanes
from kafka_chat.offsets import Offsets, Stretch

log = structlog.get_logger(__name__)

Handler = Callable[[Message], Awaitable[None]]

# Messages, and bytes of them, above which no more is read, and how much of that must be left before more is.
READ_AHEAD = 4000
_READ_AHEAD_BYTES = 32 * 1024 * 1024
_LOW_MARK = 0.5
# Seconds for which the thread looks away before it pauses the partitions.
_LOOK_AWAY = 0.5
# Messages that are handed over at once.
_AT_ONCE = 500
# Seconds; the upper bound of how long a stop goes unnoticed.
_POLL = 0.2
_COMMIT_EVERY = 1.0
# How often is looked whether the topic was made anew, and for how long the broker is waited for.
_LOOK_EVERY = 5.0
_PATIENCE = 1.0
# Seconds without a poll after which the thread counts as stuck: above all that it may wait for in between.
_STUCK = 60.0


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message, and where it is to be finished."""

    message: Message
    stretch: Stretch
    offset: int
    size: int


class Consumption:
    """One consumer group member at work on one topic.

    `handle` must not raise: what fails is its business to record. If it raises all the same, or is cancelled, the
    message counts as not done, is not committed, and will be delivered again.
    """

    def __init__(
        self,
        *,
        group: str,
        topic: str,
        handle: Handler,
        concurrency: int,
        drain_seconds: float,
        read_ahead: int = READ_AHEAD,
        in_no_hurry: bool = False,
    ) -> None:
        self._group = group
        self._topic = topic
        self._handle = handle
        self._in_no_hurry = in_no_hurry
        self._read_ahead = max(read_ahead, concurrency * 2)
        self._drain_seconds = drain_seconds
        self._lanes = Lanes(self._handle_one, concurrency)
        self._offsets = Offsets()
        # Messages and bytes that are held in memory, also of partitions that were given away since.
        self._held = self._held_bytes = 0
        # Guards these: the poll thread takes messages, the event loop finishes them.
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        # Whether the thread may take more again.
        self._has_room = threading.Event()
        self._rebalanced = self._joined = self._broker_lost = False
        # Positions that were found to be right, although the broker said that their partitions end before them.
        self._seen_whole: dict[int, int] = {}
        # Messages handled since the start.
        self.done = 0
        # When the thread has polled last, by the monotonic clock.
        self._polled_at = time.monotonic()

    @property
    def in_flight(self) -> int:
        """Messages taken and not done."""
        with self._lock:
            return len(self._offsets)

    @property
    def is_polling(self) -> bool:
        """Whether its thread has polled lately, a broker or none."""
        return time.monotonic() - self._polled_at < _STUCK

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until stopping is set, then finish what is in flight within the drain time."""
        self._loop = asyncio.get_running_loop()
        polling = asyncio.create_task(asyncio.to_thread(self._poll))
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({polling, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._stop_taking()
            if late := await self._lanes.close(self._drain_seconds):
                log.warning("stopped before everything was done; it will be delivered again", messages=late)
        finally:
            stop.cancel()
            self._stop_taking()
            self._drained.set()
            await polling

    def _stop_taking(self) -> None:
        self._stopping.set()
        self._has_room.set()

    async def _handle_one(self, taken: _Taken) -> None:
        done = False
        try:
            # Who has the partition now gets the message, too.
            if not taken.stretch.over:
                await self._handle(taken.message)
                done = True
        except Exception:
            log.exception("handling failed; the message stays uncommitted", topic=self._topic, group=self._group)
        finally:
            self._let_go(taken, done)

    def _let_go(self, taken: _Taken, done: bool) -> None:
        with self._lock:
            self._held -= 1
            self._held_bytes -= taken.size
            if done:
                self._offsets.finish(taken.stretch, taken.offset)
        self.done += done
        if not self._has_room.is_set() and not self._holds(_LOW_MARK):
            self._has_room.set()

    def _holds(self, share: float = 1) -> bool:
        """Whether so much is held of what may be held, or more."""
        return self._held > self._read_ahead * share - 1 or self._held_bytes > _READ_AHEAD_BYTES * share

    def _poll(self) -> None:
        """In a thread of its own: consume, each time with a new consumer when the brokers were lost.

        The old one remembers the topics as they were: with a broker that comes back without them it reads on at offsets
        that are not there, commits them, or dies in librdkafka (#5280).
        """
        while not self._drained.is_set():
            self._consume()

    def _consume(self) -> None:
        """Poll, pause, resume and commit, until the end or until the brokers are lost."""
        self._joined = self._broker_lost = False
        self._seen_whole.clear()
        consumer = clients.consumer(self._group, self._note_broker_lost, in_no_hurry=self._in_no_hurry)
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        paused = False
        commit_at = look_at = 0.0
        try:
            while not self._drained.is_set() and not self._broker_lost:
                self._polled_at = time.monotonic()
                self._take(consumer)
                paused = self._hold_back(consumer, paused)
                if time.monotonic() >= commit_at:
                    self._commit(consumer, wait=False)
                    commit_at = time.monotonic() + _COMMIT_EVERY
                if time.monotonic() >= look_at:
                    self._begin_anew(consumer)
                    look_at = time.monotonic() + _LOOK_EVERY
            if self._broker_lost:
                # What has begun is finished, and delivered again: handlers are idempotent.
                with self._lock:
                    self._offsets.forget_all()
            self._commit(consumer, wait=True)
        finally:
            consumer.close()

    def _take(self, consumer: Consumer) -> None:
        """Wait for a message, and take along what else is there, as far as there is room for it."""
        first = consumer.poll(_POLL)
        if first is None:
            return
        # Noted before the next call, which may give partitions away.
        taken = self._note([first])
        room = min(_AT_ONCE, self._read_ahead - self._held)
        if taken and room > 0:
            taken += self._note(consumer.consume(room, 0))
        if taken:
            self._loop.call_soon_threadsafe(self._lanes.add, taken)

    def _note(self, messages: list[Message]) -> list[tuple[bytes, _Taken]]:
        """Note messages as being in flight, and return them with their keys."""
        taken = []
        for message in messages:
            if (error := message.error()) is not None:
                log.debug("kafka consumer", topic=self._topic, error=error.str())
            elif not self._stopping.is_set():
                size, offset = len(message), _offset(message)
                with self._lock:
                    self._held += 1
                    self._held_bytes += size
                    stretch = self._offsets.begin(_partition(message), offset)
                taken.append((message.key() or b"", _Taken(message, stretch, offset, size)))
        return taken

    def _hold_back(self, consumer: Consumer, paused: bool) -> bool:
        """Look away, pause or resume, as much as is held; returns whether the partitions are paused."""
        full = self._holds(_LOW_MARK if paused else 1)
        if full and not paused:
            self._has_room.clear()
            # Between the two lines it may have been emptied.
            full = self._holds(_LOW_MARK) and not self._has_room.wait(_LOOK_AWAY)
        full = full or self._stopping.is_set()
        if full != paused or self._rebalanced:
            (consumer.pause if full else consumer.resume)(consumer.assignment())
            self._rebalanced = False
        return full

    def _note_broker_lost(self) -> None:
        # One that has never reached a broker has nothing to forget.
        self._broker_lost = self._joined

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        with self._lock:
            due = self._offsets.due()
        if not due:
            return
        positions = [TopicPartition(self._topic, number, position) for number, position in due.items()]
        try:
            if wait:
                consumer.commit(offsets=positions, asynchronous=False)
            else:
                consumer.commit(offsets=positions)
        except KafkaException as error:
            # Not lost, only done again by whoever has the partitions next.
            log.info("commit refused", topic=self._topic, error=str(error))
            return
        with self._lock:
            self._offsets.committed(due)

    def _begin_anew(self, consumer: Consumer) -> None:
        """Go to the beginning of partitions that end before what was read or committed: they were made anew.

        Apache Kafka says so itself, and `auto.offset.reset` does the rest. The embedded broker, which comes back
        without its topics, keeps silent, and an old position would wait for as many messages as there were before.
        """
        try:
            assigned = consumer.assignment()
            committed = consumer.committed(assigned, timeout=_PATIENCE) if assigned else []
            for kept, read in zip(committed, consumer.position(assigned), strict=True):
                if self._was_made_anew(consumer, kept.partition, max(read.offset, kept.offset)):
                    log.warning("the topic was made anew", topic=self._topic, partition=kept.partition)
                    self._lost(consumer, [kept])
                    consumer.seek(TopicPartition(self._topic, kept.partition, OFFSET_BEGINNING))
                    consumer.commit(offsets=[TopicPartition(self._topic, kept.partition, 0)])
        except KafkaException as error:
            log.debug("kafka consumer", topic=self._topic, error=str(error))

    def _was_made_anew(self, consumer: Consumer, number: int, position: int) -> bool:
        partition = TopicPartition(self._topic, number)
        # What the last fetch said costs nothing, but may be old: then the broker is asked as well.
        fetched = consumer.get_watermark_offsets(partition, cached=True)
        if fetched is None or not 0 < fetched[1] < position or self._seen_whole.get(number) == position:
            return False
        # The embedded broker counts the last batch as one message, so a partition may seem to end too early.
        if _end(consumer, partition) >= position or positions.is_there(self._group, self._topic, number, position - 1):
            self._seen_whole[number] = position
            return False
        # That nothing was found means something only where the broker is there.
        return _end(consumer, partition) < position

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka keeps a partition paused that was given away while it was, and a new one is not paused yet.
        self._rebalanced = self._joined = True

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, wait=True)
        self._lost(consumer, partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        with self._lock:
            self._offsets.forget([partition.partition for partition in partitions])


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    """Return the broker's word on where a partition ends; raises KafkaException where it does not answer."""
    ends = consumer.get_watermark_offsets(partition, timeout=_PATIENCE)
    if ends is None:
        raise KafkaException(f"the broker does not say where {partition.topic} ends")
    return ends[1]


def _partition(message: Message) -> int:
    number = message.partition()
    assert number is not None
    return number


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
