"""Ready or not: one question to a server. Every probe raises `NotReady` or OSError until the answer is yes."""

import asyncio
from contextlib import suppress

from config.embedded.ports import HOST


class NotReady(Exception):
    """The server does not answer as it will when it is ready."""


async def accepts_connections(port: int) -> None:
    """Succeed when something listens on the port."""
    await _exchange(port, b"", read=False)


async def answers_http(port: int, path: str) -> None:
    """Succeed when GET is answered with anything but an error of the server's own (5xx)."""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
    status_line = await _exchange(port, request.encode())
    status = status_line.split(b" ")[1:2]
    if not status or not status[0].isdigit() or int(status[0]) >= 500:
        raise NotReady(status_line.decode("latin-1").strip())


async def answers_ping(port: int, password: str) -> None:
    """Succeed when a Redis-protocol server accepts the password and answers PING."""
    answer = await _exchange(port, f"AUTH {password}\r\nPING\r\n".encode(), lines=2)
    if not answer.endswith(b"+PONG\r\n"):
        raise NotReady(answer.decode("latin-1").strip())


async def _exchange(port: int, request: bytes, *, read: bool = True, lines: int = 1) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        await writer.drain()
        return b"".join([await reader.readline() for _ in range(lines)]) if read else b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
