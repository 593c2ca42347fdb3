"""A relay in front of a real server, to see when its client hangs up, and to make the server fall silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on, both ways, while it is `open`; else connections stand, and nothing is said.

    `left` is set when the client closes a connection, at `left_at` (the loop's time).
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True
        self.connections = 0
        self.left = asyncio.Event()
        self.left_at = 0.0
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Relay"]:
        """Relay from a free port of the loopback interface."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        account = f":{self._target.password}@" if self._target.password else ""
        self.url = self._target._replace(netloc=f"{account}{host}:{port}").geturl()
        try:
            yield self
        finally:
            # A connection that is just being accepted would not be closed with the server: asyncio loses it.
            await asyncio.sleep(0.01)
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        down = asyncio.create_task(self._copy(there, writer))
        try:
            # asyncio would log a handler that ends as cancelled.
            with suppress(asyncio.CancelledError):
                await self._copy(reader, back)
                self.left_at = asyncio.get_running_loop().time()
                self.left.set()
        finally:
            down.cancel()
            for each in (back, writer):
                each.close()
                with suppress(ConnectionError):
                    await each.wait_closed()
            self._tasks.discard(task)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if self.open:
                    sink.write(data)
                    await sink.drain()
