"""The floors: WebSocket servers that do nothing but stream, as small as their frameworks let them be.

Both take the same `ask` as our chat and send the same frames at the same pace, without visitors, budgets, a model's
chain, a run log, rows or a way to resume; what they lack counts for them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.ws_schedule import INTERVAL, RUN, count_in, word


async def stream(count: int, send: Callable[[str], Awaitable[None]]) -> None:
    """Send so many words, each when it is due, and the whole text."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(count):
        if number:
            await asyncio.sleep(begin + number * INTERVAL - loop.time())
        await send(json.dumps({"type": "delta", "run": RUN, "seq": number + 1, "text": word(number), "restart": False}))
    await send(json.dumps({"type": "end", "run": RUN, "text": "".join(map(word, range(count)))}))


async def _serve(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text('{"type":"ready"}')
    streams = set()
    try:
        while True:
            asked = await socket.receive_json()
            streams.add(asyncio.create_task(stream(count_in(asked["text"]), socket.send_text)))
    except WebSocketDisconnect:
        for task in streams:
            task.cancel()


starlette = Starlette(routes=[WebSocketRoute("/ws/chat/", _serve)])


class Bare(AsyncWebsocketConsumer):
    """A consumer without a channel layer, as ours."""

    channel_layer_alias = ""

    async def connect(self) -> None:
        """Accept."""
        self.streams: set[asyncio.Task[None]] = set()
        await self.accept()
        await self.send(text_data='{"type":"ready"}')

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Begin to stream."""
        count = count_in(json.loads(text_data or "")["text"])
        self.streams.add(asyncio.create_task(stream(count, self._send)))

    async def disconnect(self, code: int) -> None:
        """End what nobody reads."""
        for task in self.streams:
            task.cancel()

    async def _send(self, text: str) -> None:
        await self.send(text_data=text)


async def channels(scope: Any, receive: Any, send: Any) -> None:
    """Serve WebSockets with the consumer, and answer HTTP with nothing."""
    if scope["type"] == "websocket":
        await Bare.as_asgi()(scope, receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
