"""Holds polls until there is an answer, with one listening connection for each process however many polls are held.

A waiter is registered before the row is read, so that an answer in between is not missed. Where PostgreSQL does not
talk to us, a wait is cut short and the client looks again: slower, never stuck.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

import psycopg
import structlog

from kafka_chat import listening

log = structlog.get_logger(__name__)

# Told the id of each question that is answered or has failed.
CHANNEL = "kf_finished"
# Seconds that a wait lasts while nobody would tell us.
DEAF = 1.0
# Seconds after which the listener looks whether anybody still waits, and after a lost connection tries again.
LOOK_EVERY = 2.0

Wait = Callable[[float], Awaitable[None]]


class Waiters:
    """The held polls of one event loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self._listens = False
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def registered(self, message_id: uuid.UUID) -> AsyncIterator[Wait]:
        """Register for the end of a question; yields a function that waits for it, at most so many seconds."""
        finished = asyncio.Event()
        self._waiting[message_id].add(finished)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())

        async def wait(seconds: float) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds if self._listens else min(seconds, DEAF)):
                    await finished.wait()

        try:
            yield wait
        finally:
            self._waiting[message_id].discard(finished)
            if not self._waiting[message_id]:
                del self._waiting[message_id]

    async def _listen(self) -> None:
        """Listen while anybody waits; a connection that is lost is made again."""
        while self._waiting:
            try:
                async with await listening.connect(CHANNEL) as database:
                    self._listens = True
                    while self._waiting:
                        async for notification in database.notifies(timeout=LOOK_EVERY):
                            self._wake(uuid.UUID(notification.payload))
            except psycopg.Error as error:
                log.warning("nobody tells us about answers, trying again", error=type(error).__name__)
                self._listens = False
                await asyncio.sleep(LOOK_EVERY)
            finally:
                self._listens = False
        # A task keeps its event loop alive.
        self._task = None

    def _wake(self, message_id: uuid.UUID) -> None:
        for finished in self._waiting.get(message_id, ()):
            finished.set()


_waiters: WeakKeyDictionary[asyncio.AbstractEventLoop, Waiters] = WeakKeyDictionary()


def waiters() -> Waiters:
    """Return the waiters of the running event loop."""
    return _waiters.setdefault(asyncio.get_running_loop(), Waiters())
