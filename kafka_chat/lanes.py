"""Work side by side, for each key one at a time and in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Handles items as they come, so many at once; those with the same key one after the other.

    `handle` must not raise. Lanes take turns, so that a key with many items does not hold up the others.
    """

    def __init__(self, handle: Callable[[T], Awaitable[None]], at_once: int) -> None:
        self._handle = handle
        self._at_once = at_once
        self._lanes: dict[bytes, deque[T]] = {}
        # The keys of lanes whose first item nobody handles yet.
        self._ready: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def add(self, items: Iterable[tuple[bytes, T]]) -> None:
        """Put items into the lanes of their keys."""
        for key, item in items:
            if (lane := self._lanes.get(key)) is not None:
                lane.append(item)
            else:
                self._lanes[key] = deque((item,))
                self._ready.append(key)
        for _ in range(min(self._at_once - len(self._tasks), len(self._ready))):
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self, seconds: float) -> int:
        """Begin nothing more, and wait that long for what has begun; returns how much was given up then."""
        self._closed = True
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    async def _work(self) -> None:
        while self._ready and not self._closed:
            key = self._ready.popleft()
            lane = self._lanes[key]
            await self._handle(lane[0])
            lane.popleft()
            if lane:
                self._ready.append(key)
            else:
                del self._lanes[key]
