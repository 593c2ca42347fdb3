"""Brings what was written to the store: all runs in one round trip, and the pieces of a while as one entry."""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from config.background import Background
from llm.runs.store import Batch, Store
from llm.runs.writers import Writer

log = structlog.get_logger(__name__)

# Seconds until Redis is tried again, at first and at most.
_AGAIN = (0.05, 2.0)
# Seconds that pieces wait for others, at least and at most: as long as it takes to stay below so many appends a second.
# Who reads in another process waits as long, and a process that is killed loses as much.
_GATHER = (0.01, 0.25)
_APPENDS_PER_SECOND = 1000


class Appender:
    """The writers of a process whose store has not everything. `answered` is told what became of each batch."""

    def __init__(
        self, store: Store, process: str, background: Background, answered: Callable[[Writer, Batch, bytes], None]
    ) -> None:
        self._store = store
        self._process = process
        self._background = background
        self._answered = answered
        # Who waits for nothing, and who waits for more to come, by the moment at which they are due: oldest first.
        self._now: set[Writer] = set()
        self._later: dict[Writer, float] = {}
        self._hurry = asyncio.Event()
        self._gather = _GATHER[0]
        self._loop = asyncio.get_running_loop()

    def add(self, writer: Writer, writing: int, *, at_once: bool) -> None:
        """Learn that a writer, one of so many, has something new. Waits for nothing."""
        if at_once:
            self._later.pop(writer, None)
            self._now.add(writer)
            self._hurry.set()
        elif writer not in self._later and writer not in self._now:
            self._gather = min(max(writing / _APPENDS_PER_SECOND, _GATHER[0]), _GATHER[1])
            self._later[writer] = self._loop.time() + self._gather
        else:
            return
        self._background.keep_up("append", self._append)

    async def _append(self) -> None:
        wait = _AGAIN[0]
        while self._now or self._later:
            await self._until_due()
            taken = self._take()
            due = [(writer, batch) for writer in taken if (batch := writer.batch(self._process))]
            try:
                replies = await self._store.append([batch for _, batch in due])
            except RedisError as error:
                for writer in taken:
                    self._later.pop(writer, None)
                self._now |= taken
                log.warning("runs cannot be stored, trying again", error=type(error).__name__, runs=len(due))
                await asyncio.sleep(wait)
                wait = min(wait * 2, _AGAIN[1])
                continue
            wait = _AGAIN[0]
            for (writer, batch), reply in zip(due, replies, strict=True):
                self._answered(writer, batch, reply)

    async def _until_due(self) -> None:
        """Wait until somebody waits for nothing, or the oldest is due."""
        if self._now:
            return
        self._hurry.clear()
        timer = self._loop.call_at(next(iter(self._later.values())), self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()

    def _take(self) -> set[Writer]:
        taken, self._now = self._now, set()
        # Who is due soon comes along: a round trip costs more than what it carries.
        soon = self._loop.time() + max(self._gather / 2, _GATHER[0])
        for writer, due in list(self._later.items()):
            if due > soon:
                break
            del self._later[writer]
            taken.add(writer)
        return taken
