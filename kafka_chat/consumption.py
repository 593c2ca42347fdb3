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
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from kafka_chat import clients
from kafka_chat.offsets import Offsets

log = structlog.get_logger(__name__)

Handler = Callable[[Message], Awaitable[None]]

# Seconds; the upper bound of how long a stop goes unnoticed.
_POLL = 0.2
_COMMIT_EVERY = 1.0


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
        with self._lock:
            self._offsets.finish(_partition(message), _offset(message))

    def _poll(self) -> None:
        """In a thread of its own: poll, pause, resume and commit."""
        consumer = clients.consumer(self._group)
        consumer.subscribe([self._topic], on_revoke=self._revoked, on_lost=self._lost)
        paused = False
        commit_at = 0.0
        try:
            while not self._drained.is_set():
                message = consumer.poll(_POLL)
                if message is not None and (error := message.error()) is not None:
                    log.debug("kafka consumer", topic=self._topic, error=error.str())
                elif message is not None and not self._stopping.is_set():
                    with self._lock:
                        self._offsets.begin(_partition(message), _offset(message))
                    self._loop.call_soon_threadsafe(self._accept, message)
                full = self._stopping.is_set() or self.in_flight >= self._bound
                if full != paused or full:
                    # Also while full: partitions that were just assigned are not paused yet.
                    (consumer.pause if full else consumer.resume)(consumer.assignment())
                    paused = full
                if time.monotonic() >= commit_at:
                    self._commit(consumer, wait=False)
                    commit_at = time.monotonic() + _COMMIT_EVERY
            self._commit(consumer, wait=True)
        finally:
            consumer.close()

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
