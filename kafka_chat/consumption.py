"""Reads a topic with many messages in flight, one at a time for each key, and commits only what is done.

librdkafka wants to be polled, and asyncio wants not to be blocked, so a thread polls and hands each message to the
event loop. When enough is in flight the partitions are paused, and polling goes on: a consumer that does not poll loses
its membership. Delivery is at least once; handlers are idempotent.
"""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from kafka_chat import clients
from kafka_chat.offsets import Offsets

log = structlog.get_logger(__name__)

Handler = Callable[[Message], Awaitable[None]]

# Seconds; the upper bound of how long a stop goes unnoticed.
_POLL = 0.2
_COMMIT_EVERY = 1.0
# How often is looked whether the topic was made anew, and for how long the broker is waited for.
_LOOK_EVERY = 5.0
_PATIENCE = 1.0


class Consumption:
    """One consumer group member at work on one topic.

    `handle` must not raise: what fails is its business to record. If it raises all the same, or is cancelled, the
    message counts as not done, is not committed, and will be delivered again.
    """

    def __init__(self, *, group: str, topic: str, handle: Handler, concurrency: int, drain_seconds: float) -> None:
        self._group = group
        self._topic = topic
        self._handle = handle
        self._bound = concurrency * 2
        self._drain_seconds = drain_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._lanes: defaultdict[bytes, deque[Message]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[None]] = set()
        self._offsets = Offsets()
        # Guards the offsets: the poll thread begins and commits, the event loop finishes.
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._rebalanced = self._joined = self._broker_lost = False
        # Messages handled since the start.
        self.done = 0

    @property
    def in_flight(self) -> int:
        """Messages taken and not done."""
        with self._lock:
            return len(self._offsets)

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until stopping is set, then finish what is in flight within the drain time."""
        self._loop = asyncio.get_running_loop()
        polling = asyncio.create_task(asyncio.to_thread(self._poll))
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({polling, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            await self._drain()
        finally:
            stop.cancel()
            self._stopping.set()
            self._drained.set()
            await polling

    async def _drain(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            if late:
                log.warning("stopped before everything was done; it will be delivered again", messages=len(late))

    def _accept(self, message: Message) -> None:
        """On the event loop: put a message into its key's lane."""
        key = message.key() or b""
        idle = key not in self._lanes
        self._lanes[key].append(message)
        if idle:
            task = self._loop.create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, key: bytes) -> None:
        """Handle a lane's messages one after the other."""
        lane = self._lanes[key]
        try:
            while lane and not self._stopping.is_set():
                async with self._slots:
                    await self._handle_one(lane.popleft())
        finally:
            del self._lanes[key]

    async def _handle_one(self, message: Message) -> None:
        try:
            await self._handle(message)
        except Exception:
            log.exception("handling failed; the message stays uncommitted", topic=self._topic, group=self._group)
            return
        self.done += 1
        with self._lock:
            self._offsets.finish(_partition(message), _offset(message))

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
        consumer = clients.consumer(self._group, self._note_broker_lost)
        consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        paused = False
        commit_at = look_at = 0.0
        try:
            while not self._drained.is_set() and not self._broker_lost:
                message = consumer.poll(_POLL)
                if message is not None and (error := message.error()) is not None:
                    log.debug("kafka consumer", topic=self._topic, error=error.str())
                elif message is not None and not self._stopping.is_set():
                    with self._lock:
                        self._offsets.begin(_partition(message), _offset(message))
                    self._loop.call_soon_threadsafe(self._accept, message)
                full = self._stopping.is_set() or self.in_flight >= self._bound
                if full != paused or self._rebalanced:
                    (consumer.pause if full else consumer.resume)(consumer.assignment())
                    paused, self._rebalanced = full, False
                if time.monotonic() >= commit_at:
                    self._commit(consumer, wait=False)
                    commit_at = time.monotonic() + _COMMIT_EVERY
                if time.monotonic() >= look_at:
                    self._begin_anew(consumer)
                    look_at = time.monotonic() + _LOOK_EVERY
            if self._broker_lost:
                # What is in flight is finished, and delivered again: handlers are idempotent.
                with self._lock:
                    self._offsets = Offsets()
            self._commit(consumer, wait=True)
        finally:
            consumer.close()

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
                if self._ends_before(consumer, kept.partition, max(read.offset, kept.offset)):
                    log.warning("the topic was made anew", topic=self._topic, partition=kept.partition)
                    self._lost(consumer, [kept])
                    consumer.seek(TopicPartition(self._topic, kept.partition, OFFSET_BEGINNING))
                    consumer.commit(offsets=[TopicPartition(self._topic, kept.partition, 0)])
        except KafkaException as error:
            log.debug("kafka consumer", topic=self._topic, error=str(error))

    def _ends_before(self, consumer: Consumer, number: int, position: int) -> bool:
        partition = TopicPartition(self._topic, number)
        # What the last fetch said costs nothing, but may be old: then the broker is asked as well.
        fetched = consumer.get_watermark_offsets(partition, cached=True)
        if fetched is None or not 0 < fetched[1] < position:
            return False
        present = consumer.get_watermark_offsets(partition, timeout=_PATIENCE)
        return present is not None and present[1] < position

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka keeps a partition paused that was given away while it was, and a new one is not paused yet.
        self._rebalanced = self._joined = True

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(consumer, wait=True)
        self._lost(consumer, partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        with self._lock:
            self._offsets.forget([partition.partition for partition in partitions])


def _partition(message: Message) -> int:
    number = message.partition()
    assert number is not None
    return number


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset
