"""A visitor's browser that costs the machine little: HTTP/1.1 over asyncio streams, connections kept, cookies, CSRF.

It asks as the page does and looks for the answer in one of four ways, on one connection, and on a second for events.
"""

import asyncio
import json
import random
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

FINISHED = ("answered", "failed", "stopped")
# Seconds that a poll is held, as the page wants it.
_HOLD = 20
# Seconds between the polls of the article's page.
_PLAIN = 0.5
# Seconds, as in the page's `kafka-pace.js`: its first, shortest and longest pause, and the share of the time so far.
_FIRST, _SHORTEST, _LONGEST, _SHARE = 0.25, 0.1, 3.0, 4
# Seconds after which a question counts as lost.
_PATIENCE = 60.0


class NotAnswered(Exception):
    """A question was refused, failed or lost, so the figures would not be what they seem."""


class Answered(NamedTuple):
    """When a question's first text and its end were in the browser's hands (`time.perf_counter()`), and the end."""

    first_text: float
    end: float
    state: dict[str, Any]


class Response(NamedTuple):
    """What came back."""

    status: int
    head: bytes
    body: bytes


class Connection:
    """One connection, opened when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, message: bytes) -> Response:
        """Send a request; return the whole response."""
        reader, head = await self._send(message)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is not None:
            body = await reader.readexactly(int(length[1]))
        else:
            body = b"".join([chunk async for chunk in _chunks(reader)])
        return Response(int(head[9:12]), head, body)

    async def events(self, message: bytes) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Send a request; yield the name and the data of each event until the server ends the stream."""
        reader, head = await self._send(message)
        if head[9:12] != b"200":
            raise NotAnswered(f"no events: {head[9:12].decode()}")
        pending = b""
        async for chunk in _chunks(reader):
            *events, pending = (pending + chunk).split(b"\n\n")
            for event in events:
                fields = dict(line.split(b": ", 1) for line in event.split(b"\n"))
                if b"event" in fields:
                    yield fields[b"event"], fields[b"data"]

    def close(self) -> None:
        """Close it, if it is open."""
        if self._writer is not None:
            self._writer.close()

    async def _send(self, message: bytes) -> tuple[asyncio.StreamReader, bytes]:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_connection(*self._address)
        self._writer.write(message)
        return self._reader, await self._reader.readuntil(b"\r\n\r\n")


async def _chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


class Browser:
    """One visitor. `requests` counts what was sent since the page was opened."""

    def __init__(self, host: str, port: int, *, api: str = "/api/chat/") -> None:
        self._host = f"{host}:{port}"
        self._api = api
        self._main, self._second = Connection(host, port), Connection(host, port)
        self._cookies: dict[str, str] = {}
        self._token = ""
        self.requests = 0

    @property
    def cookies(self) -> str:
        """The cookies that it sends."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    async def open_page(self) -> None:
        """Get the page, with the cookies and the token of its form."""
        page = await self._main.request(self._message("GET", "/about/"))
        self._cookies = dict(re.findall(r"(?im)^set-cookie: *([^=]+)=([^;]*)", page.head.decode("latin-1")))
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.body.decode())
        if page.status != 200 or token is None:
            raise NotAnswered(f"the page could not be opened: {page.status}")
        self._token = token[1]
        self.requests = 0

    async def ask(self, text: str, way: "Way") -> Answered:
        """Ask a question and wait for its answer in one of the ways. Raises NotAnswered."""
        headers = {"X-CSRFToken": self._token, "Idempotency-Key": uuid.uuid4().hex}
        response = await self._main.request(self._message("POST", self._api, {"message": text}, headers))
        self.requests += 1
        if response.status != 202:
            raise NotAnswered(f"a question was refused: {response.status} {response.body[:200].decode()}")
        try:
            async with asyncio.timeout(_PATIENCE):
                return await way.watch(self, json.loads(response.body))
        except TimeoutError:
            raise NotAnswered(f"no answer in {_PATIENCE:g} s, {way.name}") from None

    def close(self) -> None:
        """Close the connections."""
        self._main.close()
        self._second.close()

    async def look(self, url: str) -> dict[str, Any]:
        """Ask once where a question stands. Raises NotAnswered where it has failed."""
        response = await self._main.request(self._message("GET", url))
        self.requests += 1
        return _state(response.body if response.status == 200 else b"{}")

    async def events(self, url: str) -> AsyncGenerator[tuple[bytes, bytes]]:
        """Yield an answer's events, on the second connection."""
        self.requests += 1
        async with aclosing(self._second.events(self._message("GET", url))) as events:
            async for event in events:
                yield event

    def _message(self, method: str, target: str, content: object = None, more: dict[str, str] | None = None) -> bytes:
        body = b"" if content is None else json.dumps(content).encode()
        headers = {"Host": self._host, "Cookie": self.cookies}
        if body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body)), **(more or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value)]
        return "\r\n".join([*lines, "", ""]).encode() + body


def _state(body: bytes) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(body)
    if state.get("status") not in ("queued", "generating", "answered"):
        raise NotAnswered(f"a question was not answered: {body[:200].decode()}")
    return state


async def _held(browser: Browser, asked: dict[str, Any]) -> Answered:
    while (state := await browser.look(f"{asked['poll_url']}&wait={_HOLD}"))["status"] not in FINISHED:
        pass
    return Answered(now := time.perf_counter(), now, state)


async def _events(browser: Browser, asked: dict[str, Any]) -> Answered:
    first, answered = 0.0, None
    async for name, data in browser.events(asked["events_url"]):
        now = time.perf_counter()
        first = first or now
        if name == b"end":
            answered = Answered(first, now, _state(data))
    if answered is None:
        raise NotAnswered("the events ended without an end")
    return answered


async def _adaptive(browser: Browser, asked: dict[str, Any]) -> Answered:
    began = time.perf_counter()
    while True:
        waited = time.perf_counter() - began
        pause = min(_LONGEST, max(_FIRST - waited, _SHORTEST, waited / _SHARE))
        await asyncio.sleep(pause * random.uniform(0.9, 1.1))
        if (state := await browser.look(asked["poll_url"]))["status"] in FINISHED:
            return Answered(now := time.perf_counter(), now, state)


async def _plain(browser: Browser, asked: dict[str, Any]) -> Answered:
    while True:
        await asyncio.sleep(_PLAIN)
        if (state := await browser.look(asked["poll_url"]))["status"] in FINISHED:
            return Answered(now := time.perf_counter(), now, state)


@dataclass(frozen=True)
class Way:
    """A way to look for an answer."""

    name: str
    watch: Callable[[Browser, dict[str, Any]], Awaitable[Answered]]


HELD = Way("held poll", _held)
EVENTS = Way("events (SSE)", _events)
ADAPTIVE = Way("adaptive polling", _adaptive)
PLAIN = Way("plain polling", _plain)
WAYS = (HELD, EVENTS, ADAPTIVE, PLAIN)
