"""Visitors' sockets, in a process of their own: `python -m benchmarks.ws_client`, told what to do on its input.

Each line of the input is a stage (`Stage`); it is answered with lines that say how far it is, and one with the result.
What arrives is noted with the monotonic clock and looked at when all is over, so that the client is fast enough.
"""

import asyncio
import base64
import json
import os
import resource
import struct
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.ws_schedule import INTERVAL, question, word

# Seconds of silence after which what is expected is lost: words that are late still count as late, however late.
_PATIENCE = 30.0
# Sockets that are being opened at a time.
_OPENING = 20


@dataclass(kw_only=True)
class Stage:
    """So many streams, spread over the servers; `ramp` is the time over which they begin, in seconds."""

    ports: list[int]
    streams: int
    ramp: float
    count: int
    cookies: list[str] = field(default_factory=list)
    resumes: int = 0
    chainlit: bool = False


class Socket(asyncio.Protocol):
    """A WebSocket that notes what comes and when. It knows just what is needed."""

    path = "/ws/chat/"

    def __init__(self, host: str, cookie: str) -> None:
        self._head = (
            f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{host}\r\n" + (f"Cookie: {cookie}\r\n" if cookie else "") + "\r\n"
        ).encode()
        self._pending = b""
        self._open = False
        self.frames: list[tuple[float, bytes]] = []
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked_at = 0.0

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self.transport = transport
        transport.write(self._head)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so to whoever waits."""
        for future in (self.greeted, self.ended):
            if not future.done():
                future.set_exception(ConnectionError("the connection was lost"))
                # Perhaps nobody waits for it.
                future.exception()

    def data_received(self, data: bytes) -> None:
        """Note what came."""
        now = time.monotonic()
        data = self._pending + data if self._pending else data
        if not self._open:
            head, separator, data = data.partition(b"\r\n\r\n")
            if not separator:
                self._pending = head
                return
            if b" 101 " not in head[:16]:
                raise ConnectionError(head[:100].decode())
            self._open, self._pending = True, b""
        begin = 0
        while len(data) - begin >= 2:
            length = data[begin + 1]
            at = begin + 2
            if length == 126:
                length, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            elif length == 127:
                length, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            if len(data) < at + length:
                break
            self._take(now, data[begin] & 15, data[at : at + length])
            begin = at + length
        self._pending = data[begin:]

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """Send a frame, masked with zeros."""
        length = len(payload)
        size = bytes([128 | length]) if length < 126 else b"\xfe" + struct.pack("!H", length)
        self.transport.write(bytes([128 | opcode]) + size + bytes(4) + payload)

    def ask(self, text: str) -> None:
        """Ask."""
        self.asked_at = time.monotonic()
        self.send(json.dumps({"type": "ask", "text": text}).encode())

    @staticmethod
    def read(payload: bytes) -> tuple[str, str]:
        """Return "delta" with its text, "end" with the whole, or something else."""
        frame = json.loads(payload)
        return frame["type"], frame.get("text", "")

    def _take(self, now: float, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            return self.send(payload, 10)
        if opcode != 1:
            return
        if not self.greeted.done():
            return self.greeted.set_result(None)
        self.frames.append((now, payload))
        if (b'"end"' in payload[:16] or b'"error"' in payload[:18]) and not self.ended.done():
            self.ended.set_result(None)


class ChainlitSocket(Socket):
    """What Chainlit's page speaks: Socket.IO in Engine.IO."""

    path = "/ws/socket.io/?EIO=4&transport=websocket"

    def ask(self, text: str) -> None:
        """Ask."""
        message = {"id": str(uuid.uuid4()), "name": "user", "type": "user_message", "output": text, "createdAt": None}
        self.asked_at = time.monotonic()
        self.send(b"42" + json.dumps(["client_message", {"message": message, "fileReferences": None}]).encode())

    @staticmethod
    def read(payload: bytes) -> tuple[str, str]:
        """Return "delta" with its text, "end" with the whole, or something else."""
        event, *said = json.loads(payload[2:])
        if event == "stream_start":
            return "delta", said[0]["output"]
        if event == "stream_token":
            return "delta", said[0]["token"]
        is_end = event == "update_message" and said[0]["type"] == "assistant_message"
        return ("end", said[0]["output"]) if is_end else (event, "")

    def _take(self, now: float, opcode: int, payload: bytes) -> None:
        if opcode != 1:
            return
        if payload[:1] == b"0":
            session = {"clientType": "webapp", "sessionId": str(uuid.uuid4()), "threadId": "", "userEnv": "{}"}
            self.send(b"40" + json.dumps(session | {"chatProfile": ""}).encode())
        elif payload == b"2":
            self.send(b"3")
        elif payload[:2] == b"40":
            self.send(b'42["connection_successful"]')
            self.greeted.set_result(None)
        elif payload[:2] == b"42":
            self.frames.append((now, payload))
            if payload.startswith(b'42["update_message"') and not self.ended.done():
                self.ended.set_result(None)


async def connect(port: int, cookie: str = "", kind: Callable[[str, str], Socket] = Socket) -> Socket:
    """Open a socket and wait for its greeting."""
    loop = asyncio.get_running_loop()
    host = f"127.0.0.1:{port}"
    _, socket = await loop.create_connection(lambda: kind(host, cookie), "127.0.0.1", port)
    async with asyncio.timeout(_PATIENCE):
        await socket.greeted
    return socket


async def play(stage: Stage) -> dict[str, Any]:
    """Open the sockets, let them stream, say how it was."""
    turns = asyncio.Semaphore(_OPENING)

    async def opened(number: int) -> Socket:
        async with turns:
            cookie = stage.cookies[number] if stage.cookies else ""
            kind = ChainlitSocket if stage.chainlit else Socket
            return await connect(stage.ports[number % len(stage.ports)], cookie, kind)

    sockets = await asyncio.gather(*map(opened, range(stage.streams)))
    await asyncio.sleep(0.3)
    tell(event="opened")
    late: list[float] = []
    watch = asyncio.create_task(_watch(late))
    begin = time.monotonic()
    for number, socket in enumerate(sockets):
        await asyncio.sleep(begin + stage.ramp * number / stage.streams - time.monotonic())
        socket.ask(question(stage.count))
    await asyncio.sleep(0.2)
    tell(event="running")
    before, at = time.process_time(), time.monotonic()
    resumed = await _resume(stage, sockets) if stage.resumes else None
    await asyncio.sleep(begin + stage.count * INTERVAL - 0.3 - time.monotonic())
    tell(event="ending")
    until = time.monotonic()
    share = (time.process_time() - before) / (until - at)
    watch.cancel()
    await _until_ended(sockets)
    result = judge(sockets, stage, begin, at, until) | {"share": share, "client_late": late, "resumed": resumed}
    for socket in sockets:
        socket.transport.close()
    await asyncio.sleep(0.2)
    return result


def judge(sockets: list[Socket], stage: Stage, begin: float, since: float, until: float) -> dict[str, Any]:
    """Return lateness (ms) of the first words and of the others, the frames of the window, and what went wrong.

    `early` are the frames that came while the streams began. One with several words, which are late, counts as so many.
    """
    whole = "".join(map(word, range(stage.count)))
    first, following, errors, lost, early, frames, said = [], [], 0, 0, 0, 0, ""
    for socket in sockets:
        text = ""
        outcome = None
        for at, payload in socket.frames:
            kind, said_text = socket.read(payload)
            numbers = range(0)
            if kind == "delta":
                numbers = range(len(text) // len(word(0)), (len(text) + len(said_text)) // len(word(0)))
            early += max(len(numbers), 1) * (begin <= at < since)
            frames += max(len(numbers), 1) * (since <= at < until)
            if kind == "delta":
                for number in numbers:
                    lateness = (at - socket.asked_at - number * INTERVAL) * 1000
                    (following if number else first).append(round(lateness, 3))
                text += said_text
            elif kind == "end":
                outcome = said_text
        if outcome is None:
            errors += 1
            said = socket.frames[-1][1].decode() if socket.frames else "nothing"
        lost += outcome is not None and (text.strip(), outcome.strip()) != (whole.strip(), whole.strip())
    late = {"first": first, "following": following}
    return late | {"errors": errors, "lost": lost, "early": early, "frames": frames, "said": said}


async def _resume(stage: Stage, sockets: list[Socket]) -> dict[str, list[float]]:
    """Cut in as a page that comes back would; return the milliseconds to the missing words, and with connecting."""
    resumed, connected = [], []
    for number in range(stage.resumes):
        socket = sockets[number % len(sockets)]
        run = next(frame["run"] for _, payload in socket.frames if "run" in (frame := json.loads(payload)))
        began = time.monotonic()
        # Not where it is written, if there is another process.
        port = stage.ports[(number + 1) % len(stage.ports)]
        page = await connect(port, stage.cookies[number % len(sockets)])
        asked = time.monotonic()
        page.send(json.dumps({"type": "resume", "run": run, "after": 1}).encode())
        async with asyncio.timeout(_PATIENCE):
            while not any(b'"delta"' in payload for _, payload in page.frames):
                await asyncio.sleep(0)
        at = next(at for at, payload in page.frames if b'"delta"' in payload)
        resumed.append((at - asked) * 1000)
        connected.append((at - began) * 1000)
        page.transport.close()
        await asyncio.sleep(0.02)
    return {"resumed": resumed, "connected": connected}


async def _until_ended(sockets: list[Socket]) -> None:
    """Wait for the ends as long as anything comes."""
    waiting, heard = {socket.ended for socket in sockets}, -1
    while waiting and (by_now := sum(len(socket.frames) for socket in sockets)) > heard:
        heard = by_now
        _, waiting = await asyncio.wait(waiting, timeout=_PATIENCE)


async def _watch(late: list[float]) -> None:
    while True:
        due = time.monotonic() + 0.01
        await asyncio.sleep(0.01)
        late.append((time.monotonic() - due) * 1000)


def tell(**said: Any) -> None:
    """Say something to who started us."""
    print(json.dumps(said), flush=True)


def main() -> None:
    """Play the stages that come."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        try:
            tell(event="result", **uvloop.run(play(Stage(**json.loads(line)))))
        except Exception as error:
            tell(event="failed", error=repr(error))


if __name__ == "__main__":
    main()
