"""A wait that ends when it is said to, also where the end of what is waited for does not come.

`asyncio.timeout` cancels, and then waits until what was cancelled has ended. A statement takes up to ten seconds more
where PostgreSQL keeps silent, because psycopg asks it to stop; work in a thread takes as long as the thread does.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

Found = TypeVar("Found")

# An event loop holds its tasks by weak references.
_left: set[asyncio.Future[Any]] = set()


async def within(seconds: float, work: Awaitable[Found]) -> Found:
    """Return what the work returns, or raise what it raises; TimeoutError where that takes longer.

    Work that is left behind, then or because who waits is cancelled, is cancelled and ends on its own.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            _leave(task)
    if not task.done():
        raise TimeoutError
    return await task


def _leave(task: asyncio.Future[Any]) -> None:
    _left.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        # Nobody is there to be told.
        task.exception()
