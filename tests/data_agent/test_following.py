"""Two pages at one conversation, and what the channel layer's server does to them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from config.redis import client
from data_agent.demo_data import DemoData
from tests.data_agent.test_consumer import COUNTRIES, Socket, approve, ask, next_step, receive, socket, socket_for

__all__ = ["socket"]


@pytest.fixture
async def other(analytics: DemoData, analyst: User) -> AsyncIterator[Socket]:
    """A second tab of the same analyst."""
    communicator = socket_for(analyst)
    await communicator.connect()
    yield communicator
    await communicator.disconnect()


async def _shows(page: Socket, state: str) -> None:
    """Wait until a page was shown its conversation with a last step in this state."""
    async with asyncio.timeout(30):
        while (await receive(page, "ready"))["steps"][-1]["state"] != state:
            pass


async def test_what_one_tab_does_another_shows(socket: Socket, other: Socket) -> None:
    step = await ask(socket, COUNTRIES)
    await other.send_json_to({"type": "open", "session": step["session"]})
    await _shows(other, "proposed")
    await _heard(step["session"])
    await approve(socket, step)
    await next_step(socket, "answered")
    await _shows(other, "answered")
    # Who did it is not told of it.
    assert await socket.receive_nothing(timeout=0.2)


async def test_a_colleague_sees_it_live_until_it_is_taken_back(socket: Socket, stranger: User) -> None:
    step, reader = await _shared(socket, stranger)
    await socket.send_json_to({"type": "skip", "step": step["id"]})
    await _shows(reader, "skipped")
    await socket.send_json_to({"type": "unshare", "session": step["session"], "person": stranger.username})
    while (frame := await reader.receive_json_from(timeout=15))["type"] == "ready":
        pass
    assert (frame["type"], frame["code"]) == ("error", "not_found")
    await reader.disconnect()


async def test_who_left_a_conversation_is_not_brought_back_to_it(socket: Socket, stranger: User) -> None:
    step, reader = await _shared(socket, stranger)
    # Without a session it is one's own that is opened, and this reader has none.
    await reader.send_json_to({"type": "open"})
    while (await receive(reader, "ready"))["session"] is not None:
        pass
    await socket.send_json_to({"type": "skip", "step": step["id"]})
    await next_step(socket, "skipped")
    assert await reader.receive_nothing(timeout=0.5)
    await reader.disconnect()


async def test_without_redis_a_page_works_alone(socket: Socket, settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
        }
    }
    step = await ask(socket, COUNTRIES)
    await approve(socket, step)
    await next_step(socket, "answered")


async def _shared(socket: Socket, stranger: User) -> tuple[dict[str, Any], Socket]:
    """Ask, and share that; returns the step, and the page of who reads along."""
    step = await ask(socket, COUNTRIES)
    await socket.send_json_to({"type": "share", "session": step["session"], "person": stranger.username})
    await receive(socket, "shared")
    reader = socket_for(stranger)
    await reader.connect()
    await reader.send_json_to({"type": "open", "session": step["session"]})
    await _shows(reader, "proposed")
    await _heard(step["session"])
    return step, reader


async def _heard(session: str) -> None:
    """Wait until two pages follow a conversation."""
    async with asyncio.timeout(30):
        while await client().zcard(f"asgi:group:data-agent.{session}") < 2:
            await asyncio.sleep(0.02)
