"""What belongs to an event loop and ends with it: short-lived ones of synchronous callers tell nobody of their end."""

import asyncio
import types
from collections.abc import Awaitable, Callable


def before_close(loop: asyncio.AbstractEventLoop, end: Callable[[], Awaitable[object]]) -> None:
    """Have `end` called and waited for in a loop, right before the loop is closed."""
    close = loop.close

    async def ending() -> None:
        await end()
        # A transport that was closed lets go of its socket in the loop's next turn.
        await asyncio.sleep(0)

    def close_after_that(self: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.run_until_complete(ending())
        close()

    loop.close = types.MethodType(close_after_that, loop)  # type: ignore[method-assign]
