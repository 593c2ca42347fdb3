"""Brings what was written to the store: all runs in one round trip, and the pieces of a while as one entry."""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from config.background import Background
from llm.runs.store import FOLLOWED, Batch, Store
from llm.runs.writers import Writer

log = structlog.get_logger(__name__)

# Seconds until Redis is tried again, at first and at most.
_AGAIN = (0.05, 2.0)
# Seconds that pieces wait for others, at least and at most: as long as it takes to stay below so many appends a second.
# A run that nobody reads in another process is appended less often, because it costs more than all the rest of a piece.
# Who begins to read there waits as long once, and a process that is killed loses as much.
_GATHER = (0.01, 0.25)
_FOLLOWED_PER_SECOND, _OTHERS_PER_SECOND = 1000, 200


class Appender:
    """The writers of a process whose store has not everything. `answered` is told what became of each batch."""

    def __init__(
        self, store: Store, process: str, background: Background, answered: Callable[[Writer, Batch, bytes], None]
    ) -> None:
        self._store = store
        self._process = process
        self._background = background
        self._answered = answered
        # Who waits for nothing, and who waits for more to come: those whose run is read elsewhere, and the others.
        self._now: set[Writer] = set()
        self._followed, self._others = _Waiting(_FOLLOWED_PER_SECOND), _Waiting(_OTHERS_PER_SECOND)
        self._hurry = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def add(self, writer: Writer, writing: int, *, at_once: bool) -> None:
        """Learn that a writer, one of so many, has something new. Waits for nothing."""
        if at_once:
            self._wait_no_more(writer)
            self._now.add(writer)
            self._hurry.set()
        elif writer in self._others or writer in self._followed or writer in self._now:
            return
        elif writer.followed:
            self._followed.add(writer, writing)
            # It may be due before those that came earlier.
            self._hurry.set()
        else:
            self._others.add(writer, writing)
        self._background.keep_up("append", self._append)

    async def _append(self) -> None:
        wait = _AGAIN[0]
        while self._now or self._followed or self._others:
            await self._until_due()
            taken, self._now = self._now | self._followed.take() | self._others.take(), set()
            due = [(writer, batch) for writer in taken if (batch := writer.batch(self._process))]
            try:
                replies = await self._store.append([batch for _, batch in due])
            except RedisError as error:
                for writer in taken:
                    self._wait_no_more(writer)
                self._now |= taken
                log.warning("runs cannot be stored, trying again", error=type(error).__name__, runs=len(due))
                await asyncio.sleep(wait)
                wait = min(wait * 2, _AGAIN[1])
                continue
            wait = _AGAIN[0]
            for (writer, batch), reply in zip(due, replies, strict=True):
                writer.followed = reply == FOLLOWED
                self._answered(writer, batch, reply)

    async def _until_due(self) -> None:
        """Wait until somebody waits for nothing, or the first is due."""
        while not self._now:
            moment = min(waiting.due for waiting in (self._followed, self._others) if waiting)
            if moment <= self._loop.time():
                return
            self._hurry.clear()
            timer = self._loop.call_at(moment, self._hurry.set)
            try:
                await self._hurry.wait()
            finally:
                timer.cancel()

    def _wait_no_more(self, writer: Writer) -> None:
        self._followed.discard(writer)
        self._others.discard(writer)


class _Waiting:
    """Writers who wait for more to come, the oldest first, so that they append so many times a second together."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._gather = _GATHER[0]
        # By the moment at which they are due.
        self._due: dict[Writer, float] = {}
        self._loop = asyncio.get_running_loop()

    def __bool__(self) -> bool:
        return bool(self._due)

    def __contains__(self, writer: Writer) -> bool:
        return writer in self._due

    @property
    def due(self) -> float:
        """When the first is due, where there is one."""
        return next(iter(self._due.values()))

    def add(self, writer: Writer, writing: int) -> None:
        """Add one of so many writers."""
        self._gather = min(max(writing / self._per_second, _GATHER[0]), _GATHER[1])
        self._due[writer] = self._loop.time() + self._gather

    def discard(self, writer: Writer) -> None:
        """Let one wait no longer, if it waits."""
        self._due.pop(writer, None)

    def take(self) -> set[Writer]:
        """Remove and return those that are due, and those that are soon: a round trip costs more than it carries."""
        soon = self._loop.time() + max(self._gather / 2, _GATHER[0])
        taken = set()
        for writer, due in list(self._due.items()):
            if due > soon:
                break
            del self._due[writer]
            taken.add(writer)
        return taken
