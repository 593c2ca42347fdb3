"""Watches a connection, at the cost of one timer: one that nobody uses is closed, and one that takes nothing, too."""

import asyncio
from collections.abc import Callable

from ws_chat import protocol

# Seconds.
_EVERY = 5.0


class Watch:
    """The watch over one connection. `close` is called once, with the code; `busy` says that an answer is shown."""

    def __init__(self, close: Callable[[int], None], busy: Callable[[], bool]) -> None:
        self._close = close
        self._busy = busy
        self._loop = asyncio.get_running_loop()
        self._used_at = self._moved_at = self._loop.time()
        self._sending = 0
        self._timer = self._loop.call_later(_EVERY, self._look)

    def used(self) -> None:
        """Note that somebody does something with it."""
        self._used_at = self._loop.time()

    def send_begins(self) -> None:
        """Note that a frame is on its way, which it is for as long as the server has no room for it."""
        if self._sending == 0:
            self._moved_at = self._loop.time()
        self._sending += 1

    def send_ends(self) -> None:
        """Note that it is not on its way any more."""
        self._sending -= 1
        self._moved_at = self._loop.time()

    def end(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if self._sending and now - self._moved_at >= protocol.SLOW:
            return self._close(protocol.CLOSE_SLOW)
        if self._busy():
            self._used_at = now
        if now - self._used_at >= protocol.IDLE:
            return self._close(protocol.CLOSE_IDLE)
        self._timer = self._loop.call_later(_EVERY, self._look)
