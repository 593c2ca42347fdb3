"""Work in the background of an event loop: each kind at most once at a time, started when it is needed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from config.observability import correlation

Work = Callable[[], Coroutine[Any, Any, None]]


class Background:
    """The tasks of one owner, by name."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def keep_up(self, name: str, work: Work) -> None:
        """Start this work, where it does not run."""
        running = self._tasks.get(name)
        if running is None or running.done():
            self._tasks[name] = asyncio.create_task(_of_nobody(work), name=f"{self._owner}: {name}")

    def cancel(self, name: str) -> None:
        """Cancel this work, where it runs; `aclose` waits for its end."""
        if (task := self._tasks.get(name)) is not None:
            task.cancel()

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return all(task.done() for task in self._tasks.values())

    async def aclose(self) -> None:
        """Cancel all of it, and wait until it has ended."""
        while pending := [task for task in self._tasks.values() if not task.done()]:
            for task in pending:
                task.cancel()
            # Again, because redis-py waits with asyncio.wait_for, which in Python 3.11 may swallow a cancellation.
            await asyncio.wait(pending, timeout=0.1)


async def _of_nobody(work: Work) -> None:
    correlation.forget()
    await work()
