"""Work that belongs to the process and not to a connection: begun with it, and brought to an end before it ends."""

import asyncio
from collections.abc import Awaitable, Callable

_beginnings: list[Callable[[], object]] = []
_ends: list[Callable[[], Awaitable[object]]] = []


def at_start(begin: Callable[[], object]) -> None:
    """Have `begin` called when the server starts, in its event loop; it waits for nothing."""
    if begin not in _beginnings:
        _beginnings.append(begin)


def start() -> None:
    """Begin all of it."""
    for begin in _beginnings:
        begin()


def before_exit(end: Callable[[], Awaitable[object]]) -> None:
    """Have `end` called, once each time, when the server is told to stop; it sees to its own deadline."""
    if end not in _ends:
        _ends.append(end)


async def drain() -> None:
    """Bring all of it to an end; what fails is in nobody's way."""
    await asyncio.gather(*(end() for end in _ends), return_exceptions=True)
