"""A new conversation: for the model, for all pages, after a reload and in another process; the rows stay."""

import uuid

import pytest
from channels.db import database_sync_to_async
from pytest_django import Settings

from config import redis
from llm import conversations, shared_state
from tests.llm.attentive import Model
from tests.llm.servers.relay import Relay
from tests.ws_chat.conftest import Socket, rows
from ws_chat import transcript
from ws_chat.generating import generations
from ws_chat.tabs import tabs

pytestmark = pytest.mark.django_db(transaction=True)


SCENES: list[dict[str, object]] = [
    {"contains": "slow", "answer": "one two three", "token_ms": 100},
    {"answer": "Fine."},
]


async def _ask(socket: Socket, text: str) -> None:
    await socket.ask(text)
    await socket.until_end()


async def _clear(socket: Socket) -> str:
    await socket.send_json_to({"type": "clear"})
    frame = await socket.receive_json_from(timeout=5)
    assert frame["type"] == "cleared", frame
    after: str = frame["after"]
    return after


@pytest.mark.parametrize("lost", ["nothing", "memory", "memory and Redis"])
async def test_the_model_is_not_reminded_of_what_was_said_before_it(
    visitor: uuid.UUID, model: Model, lost: str
) -> None:
    socket = await Socket(visitor).opened()
    await _ask(socket, "Hello")
    after = await _clear(socket)
    await rows(1)
    if lost != "nothing":
        await socket.disconnect()
        await conversations.aclose(10)
        if lost == "memory and Redis":
            await redis.client().delete(f"llm:memory:{{ws:{visitor}}}", f"ws:start:{visitor}")
        socket = await Socket(visitor).opened()
    await _ask(socket, "And now?")
    assert model.told == ["And now?"]
    found = await rows(2)
    assert [row.question for row in found] == ["Hello", "And now?"]
    assert str(found[0].turn_id) < after < str(found[1].turn_id)
    shown, following = await database_sync_to_async(transcript.page)(visitor)
    assert ([row.question for row in shown], following) == (["And now?"], None)
    await socket.disconnect()


async def test_all_pages_are_told_once_and_those_that_come_back_too(visitor: uuid.UUID, model: Model) -> None:
    first, second = [await Socket(visitor).opened() for _ in range(2)]
    await _ask(first, "Hello")
    await second.receive_json_from(timeout=5)
    await second.until_end()
    after = await _clear(first)
    assert await second.receive_json_from(timeout=5) == {"type": "cleared", "after": after}
    # What Redis says of it comes, too, and is the same.
    for page in (first, second):
        assert await page.receive_nothing(timeout=0.3)
        await page.disconnect()
    third = Socket(visitor)
    assert (await third.connect())[0]
    # Its latest run belongs to the conversation before.
    assert await third.receive_json_from(timeout=5) == {"type": "ready", "run": None, "after": after}
    later = await _clear(third)
    assert later > after
    await third.disconnect()


async def test_somebody_else_s_conversation_goes_on(visitor: uuid.UUID, model: Model) -> None:
    mine, other = await Socket(visitor).opened(), await Socket(uuid.uuid4()).opened()
    await _ask(other, "Hello")
    await _clear(mine)
    await _ask(other, "And now?")
    assert model.told == ["Hello", "Fine.", "And now?"]
    for socket in (mine, other):
        await socket.disconnect()


async def test_not_while_an_answer_is_being_written(visitor: uuid.UUID, model: Model) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask("slow")
    await socket.send_json_to({"type": "clear"})
    while (frame := await socket.receive_json_from(timeout=5))["type"] == "delta":
        pass
    assert (frame["type"], frame["code"]) == ("error", "busy")
    await socket.until_end()
    await _clear(socket)
    await socket.disconnect()


async def test_with_redis_away_it_is_said_to_be_possible_later(
    visitor: uuid.UUID, model: Model, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_state, "PATIENCE", 0.2)
    async with Relay(settings.REDIS_URL).listening() as door:
        settings.REDIS_URL = door.url
        socket = await Socket(visitor).opened()
        door.open = False
        await socket.send_json_to({"type": "clear"})
        assert (await socket.receive_json_from(timeout=10))["code"] == "unavailable"
        await socket.disconnect()
        door.open = True
        await generations().shut_down()
        await tabs().aclose()
        await redis.aclose()
