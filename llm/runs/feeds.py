"""A run as one process knows it: its events so far, shared by everybody in this process who reads it.

A reader has a place in the list and nothing of its own, so one that is slow costs no memory: it is replayed to.
Who has everything and waits may be handed the next piece where it is written, without a turn of the event loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from uuid import UUID

from llm.runs.events import Delta, End, Event, Events

# Takes a piece at once, and returns whether it could. It waits for nothing and raises nothing.
Take: TypeAlias = Callable[[Delta], bool]


class Ending:
    """The end of one run, for all in this process who wait for nothing else."""

    def __init__(self, run: UUID) -> None:
        self.run = run
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting = 0

    @property
    def end(self) -> End | None:
        """The end, None before it."""
        return self._end.result() if self._end.done() else None

    @property
    def is_waited_for(self) -> bool:
        """Whether anybody waits."""
        return self._waiting > 0

    def tell(self, end: End) -> None:
        """Give the end to all who wait."""
        if not self._end.done():
            self._end.set_result(end)

    async def wait(self) -> End:
        """Return the end as soon as it is there."""
        self._waiting += 1
        try:
            # One who leaves must not take it from the others.
            return await asyncio.shield(self._end)
        finally:
            self._waiting -= 1


class Feed:
    """The events of one run, in order."""

    def __init__(self, run: UUID) -> None:
        self.run = run
        self.events = Events()
        # Whether nothing will be added here any more, although there is no end: readers look for another feed.
        self.abandoned = False
        self._readers: set[Reader] = set()

    @property
    def last(self) -> int:
        """The number of the last event, 0 before the first."""
        return self.events.last

    @property
    def end(self) -> End | None:
        """The end, None before it."""
        return self.events.end

    @property
    def is_read(self) -> bool:
        """Whether anybody reads."""
        return bool(self._readers)

    def append(self, event: Event) -> None:
        """Add the event that follows."""
        self.events.append(event)
        self._tell(event if isinstance(event, Delta) else None)

    def add(self, events: Iterable[Event]) -> None:
        """Add what is new among these events, which are in their order and each there once, as in Redis' stream."""
        new = [event for event in events if event.seq > self.last] if self.end is None else []
        if len(new) == 1:
            self.append(new[0])
        elif new:
            for event in new:
                self.events.append(event)
            self._tell()

    def abandon(self) -> None:
        """Send the readers to whoever has the run now."""
        self.abandoned = True
        self._tell()

    def after(self, cursor: int) -> Sequence[Event]:
        """Return what follows a number, in as few events as possible."""
        piece = self.events.piece_after(cursor)
        events: list[Event] = [] if piece is None else [piece]
        # The end is for everybody who comes, however much they have seen.
        return [*events, self.end] if self.end else events

    @contextmanager
    def reader(self, after: int, take: Take | None = None) -> Iterator["Reader"]:
        """Register a reader who has everything up to a number."""
        reader = Reader(after, take)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def _tell(self, piece: Delta | None = None) -> None:
        for reader in self._readers:
            reader.tell(piece)


class Reader:
    """Tells one reader that there is something new. An asyncio.Event can do more, and costs more for each piece.

    `cursor` is the number of the last event that the reader has.
    """

    def __init__(self, cursor: int, take: Take | None) -> None:
        self.cursor = cursor
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._told = False
        self._waiting: asyncio.Future[None] | None = None

    def tell(self, piece: Delta | None = None) -> None:
        """Give the reader the piece that is new, where that is all; else wake it, or have it not wait the next time."""
        waits = self._waiting is not None and not self._waiting.done()
        # Who waits, and was not told before, has everything but this piece.
        if waits and self._take is not None and piece is not None and piece.seq > self.cursor and self._take(piece):
            self.cursor = piece.seq
            return
        self._told = True
        if waits:
            assert self._waiting is not None
            self._waiting.set_result(None)

    async def told(self) -> None:
        """Wait until it is told; what it was told since the last time counts."""
        if not self._told:
            self._waiting = self._loop.create_future()
            await self._waiting
        self._told = False
