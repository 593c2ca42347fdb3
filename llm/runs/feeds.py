"""A run as one process knows it: its events so far, shared by everybody in this process who reads it.

A reader has a place in the list and nothing of its own, so one that is slow costs no memory: it is replayed to.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from llm.runs.events import Delta, End, Event, merge


class Feed:
    """The events of one run, in order."""

    def __init__(self, run: UUID) -> None:
        self.run = run
        self.events: list[Event] = []
        # Whether nothing will be added here any more, although there is no end: readers look for another feed.
        self.abandoned = False
        self._readers: set[asyncio.Event] = set()

    @property
    def last(self) -> int:
        """The number of the last event, 0 before the first."""
        return self.events[-1].seq if self.events else 0

    @property
    def end(self) -> End | None:
        """The end, None before it."""
        return self.events[-1] if self.events and isinstance(self.events[-1], End) else None

    @property
    def is_read(self) -> bool:
        """Whether anybody reads."""
        return bool(self._readers)

    def add(self, events: Iterable[Event]) -> None:
        """Add what is new among these events."""
        before = len(self.events)
        for event in events:
            if self.end is None and event.seq > self.last:
                self.events.append(event)
        if len(self.events) > before:
            for changed in self._readers:
                changed.set()

    def abandon(self) -> None:
        """Send the readers to whoever has the run now."""
        self.abandoned = True
        for changed in self._readers:
            changed.set()

    def after(self, cursor: int) -> Sequence[Event]:
        """Return what follows a number, in as few events as possible."""
        events = self.events[bisect_right(self.events, cursor, key=lambda event: event.seq) :]
        deltas = [event for event in events if isinstance(event, Delta)]
        merged: list[Event] = [merge(deltas)] if deltas else []
        # The end is for everybody who comes, however much they have seen.
        return [*merged, self.end] if self.end else merged

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        """Register a reader; yields an event that is set when there is something new."""
        changed = asyncio.Event()
        self._readers.add(changed)
        try:
            yield changed
        finally:
            self._readers.discard(changed)
