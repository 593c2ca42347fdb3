"""Work that belongs to the process and not to a connection: brought to an end before the process ends."""

import asyncio
from collections.abc import Awaitable, Callable

_ends: list[Callable[[], Awaitable[object]]] = []


def before_exit(end: Callable[[], Awaitable[object]]) -> None:
    """Have `end` called, once each time, when the server is told to stop; it sees to its own deadline."""
    if end not in _ends:
        _ends.append(end)


async def drain() -> None:
    """Bring all of it to an end; what fails is in nobody's way."""
    await asyncio.gather(*(end() for end in _ends), return_exceptions=True)
