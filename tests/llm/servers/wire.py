"""HTTP/1.1 as far as a streaming model server needs it, with every way to break an answer off."""

import asyncio
import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

# What happens after the scene's pieces.
#   end           the protocol's own end mark
#   stall         nothing more, the connection stays open
#   truncate      a proper end of the HTTP body, but no end mark
#   cut           the connection closes in the middle of the body
#   garbage       bytes that are not the protocol's
#   wrong shape   JSON, but of another form
#   error         the protocol's way to report an error after the headers
Then = Literal["end", "stall", "truncate", "cut", "garbage", "wrong shape", "error"]


@dataclass(frozen=True)
class Scene:
    """One answer, in words that fit every protocol."""

    pieces: tuple[str, ...] = ("Hello", " there", "!")
    then: Then = "end"
    finish: Literal["stop", "length", "withheld"] = "stop"
    usage: tuple[int, int] = (7, 3)
    # Instead of an answer: an HTTP status, headers, and the protocol's own reason where it has one.
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    reason: Literal["", "too long", "quota", "withheld", "retry info"] = ""
    # Before the headers: accept the request and say nothing, or hang up.
    before: Literal["", "stall", "hang up"] = ""
    # After this many answers on a connection: hang up on the next request, as a server does that had closed it before.
    answers: float = math.inf
    # Wait for a permit (`Server.permits`) before each piece after the first.
    gated: bool = False
    # Send each byte on its own.
    bytewise: bool = False


@dataclass
class Exchange:
    """What one request said, and when its client went away before the answer was complete (the loop's time)."""

    path: str
    headers: dict[str, str]
    body: Any
    left_at: float | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Server(ABC):
    """Plays one scene for every request. A protocol is a subclass that puts scenes into its own bytes."""

    content_type: ClassVar[str]

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.permits = asyncio.Semaphore(0)
        self.url = ""

    # The protocol

    @abstractmethod
    def piece(self, text: str, position: int) -> bytes:
        """One piece of the answer."""

    @abstractmethod
    def end(self) -> bytes:
        """The end mark, with finish reason and usage."""

    @abstractmethod
    def fault(self) -> bytes:
        """An error in the middle of the stream."""

    @abstractmethod
    def wrong_shape(self) -> bytes:
        """Valid JSON in the protocol's framing that is no answer."""

    @abstractmethod
    def refusal(self, echo: str) -> bytes:
        """The body of an answer with an error status; `echo` is what a careless server repeats of the request."""

    # HTTP

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Server"]:
        """Serve on a free port of the loopback interface."""
        self._handlers: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            # A connection that is just being accepted would not be closed with the server: asyncio loses it.
            await asyncio.sleep(0.01)
            server.close()
            for task in self._handlers:
                task.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            # asyncio would log a handler that ends as cancelled.
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                answered = 0
                while await self._exchange(reader, writer, hang_up=answered >= self.scene.answers):
                    answered += 1
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._handlers.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hang_up: bool) -> bool:
        """Answer one request, or not; returns whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(first.split()[1], headers, json.loads(body or b"null"))
        self.exchanges.append(exchange)
        watcher = asyncio.create_task(self._watch(reader, exchange))
        try:
            return not hang_up and await self._answer(writer, exchange)
        finally:
            watcher.cancel()
            # Unlike `await watcher`, this does not mix up the watcher's cancellation with that of this task.
            await asyncio.wait([watcher])

    async def _watch(self, reader: asyncio.StreamReader, exchange: Exchange) -> None:
        """Note when the client goes away: it has nothing to send while it waits for its answer."""
        with suppress(ConnectionError):
            await reader.read(1)
        exchange.left_at = asyncio.get_running_loop().time()
        exchange.left.set()

    async def _answer(self, writer: asyncio.StreamWriter, exchange: Exchange) -> bool:
        scene = self.scene
        if scene.before == "hang up":
            return False
        if scene.before == "stall":
            await exchange.left.wait()
            return False
        if scene.status != 200:
            self._send_refusal(writer, exchange)
            return True
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for position, text in enumerate(scene.pieces):
            if position and scene.gated:
                await self.permits.acquire()
            await self._send(writer, self.piece(text, position))
        return await self._finish(writer, exchange)

    async def _finish(self, writer: asyncio.StreamWriter, exchange: Exchange) -> bool:
        match self.scene.then:
            case "end":
                await self._send(writer, self.end())
            case "stall":
                await exchange.left.wait()
                return False
            case "cut":
                writer.write(b"ff\r\n{")
                await writer.drain()
                return False
            case "garbage":
                await self._send(writer, b'\x00\xfe<html>{{{"not": data\n\n')
            case "wrong shape":
                await self._send(writer, self.wrong_shape())
            case "error":
                await self._send(writer, self.fault())
            case "truncate":
                pass
        writer.write(b"0\r\n\r\n")
        return True

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for part in [bytes([byte]) for byte in data] if self.scene.bytewise else [data]:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()

    def _send_refusal(self, writer: asyncio.StreamWriter, exchange: Exchange) -> None:
        # Real servers quote the key and the question in their errors.
        body = self.refusal(json.dumps([exchange.headers, exchange.body]))
        headers = (*self.scene.headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        writer.write(f"HTTP/1.1 {self.scene.status} Status\r\n{lines}\r\n".encode() + body)
