"""A connection that nobody uses, and one that takes nothing, are closed with a code that says which."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.ws_chat.conftest import Socket
from ws_chat import protocol, watching

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for half an hour here."""
    monkeypatch.setattr(watching, "_EVERY", 0.02)
    monkeypatch.setattr(protocol, "IDLE", 0.5)
    monkeypatch.setattr(protocol, "SLOW", 0.3)


async def test_pings_are_no_use_of_a_connection(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not frames or frames[-1]["type"] != "websocket.close":
            await socket.send_json_to({"type": "ping"})
            frames.append(await socket.receive_output(timeout=5))
    assert frames[-1]["code"] == protocol.CLOSE_IDLE


async def test_an_answer_is_a_use_of_it_as_long_as_it_is_written(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    # Longer than a connection may be idle.
    await socket.ask("scene:slow please")
    await socket.until_end()
    assert (await socket.receive_output(timeout=5)) == {"type": "websocket.close", "code": protocol.CLOSE_IDLE}


async def test_who_takes_nothing_is_sent_away_and_resumes_later(visitor: uuid.UUID) -> None:
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: list[dict[str, Any]] = []
    full = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if '"type":"delta"' in message.get("text", ""):
            full.set()
            await asyncio.Event().wait()

    socket = Socket(visitor)
    serving = asyncio.ensure_future(socket.application(socket.scope, received.get, send))
    received.put_nowait({"type": "websocket.connect"})
    received.put_nowait({"type": "websocket.receive", "text": '{"type": "ask", "text": "scene:slow please"}'})
    await full.wait()
    async with asyncio.timeout(10):
        while sent[-1] != {"type": "websocket.close", "code": protocol.CLOSE_SLOW}:
            await asyncio.sleep(0.02)
    received.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await asyncio.wait([serving], timeout=10)
    serving.exception()
    again = await Socket(visitor).opened()
    await again.send_json_to({"type": "resume", "run": again.latest, "after": 1})
    deltas, end = await again.until_end()
    assert "one " + "".join(delta["text"] for delta in deltas) == end["text"]
    await again.disconnect()
