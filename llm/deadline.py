"""A deadline for many waits with one timer; `asyncio.timeout` makes one for each, and models say many small pieces."""

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Deadline:
    """A moment of the event loop's clock up to which one task may wait. A context manager: its timer ends with it.

    Between two waits nothing is cancelled, so it may span a generator's `yield`, which `asyncio.timeout` must not.
    """

    def __init__(self, moment: float) -> None:
        self.passed = False
        self._waits = False
        task = asyncio.current_task()
        assert task is not None
        # Known from the beginning: to look for it has its price, where that is done for each piece.
        self._task, self._cancelling = task, task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_at(moment, self._pass)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()

    def move(self, moment: float) -> None:
        """Wait up to another moment from now on, unless this one has `passed`."""
        self._timer.cancel()
        if not self.passed:
            self._timer = self._loop.call_at(moment, self._pass)

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Return what is awaited; raises TimeoutError where the moment passes meanwhile, as `asyncio.timeout` does.

        Not to be called where it has `passed`, and by the task that made it alone.
        """
        self._waits = True
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self.passed and self._task.uncancel() <= self._cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._waits = False

    def _pass(self) -> None:
        self.passed = True
        if self._waits:
            self._task.cancel()
