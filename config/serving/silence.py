"""What comes now and again, with a sign where nothing comes: requests are held no longer than they may be."""

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def or_silence(
    items: AsyncGenerator[T], first: float, later: float, *, until: float = math.inf
) -> AsyncGenerator[T | None]:
    """Yield the items, and None whenever none came for so many seconds: for the first one, and for each later one.

    It ends with the items, or at the moment `until` of the loop's clock, and closes them.
    """
    now = asyncio.get_running_loop().time
    seconds = first
    coming: asyncio.Future[T] | None = None
    try:
        while (left := until - now()) > 0:
            coming = coming or asyncio.ensure_future(anext(items))
            await asyncio.wait([coming], timeout=min(seconds, left))
            if not coming.done():
                yield None
                continue
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            coming, seconds = None, later
            yield item
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await items.aclose()
