"""A visitor has their conversation deleted, perhaps in the middle of an answer."""

import uuid
from contextlib import suppress

import pytest
from redis.exceptions import RedisError

from tests.llm.attentive import Model
from tests.ws_chat.conftest import Socket, rows
from ws_chat import own_data
from ws_chat.models import ChatMessage, ConversationStart
from ws_chat.own_data import StillWritten
from ws_chat.register import register

pytestmark = pytest.mark.django_db(transaction=True)

SCENES: list[dict[str, object]] = [
    {"contains": "slow", "answer": "one two three four five six seven eight", "token_ms": 200},
    {"answer": "Fine."},
]


async def test_a_run_is_stopped_its_row_is_deleted_and_the_pages_are_cleared(visitor: uuid.UUID, model: Model) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask("Hello")
    await socket.until_end()
    await rows(1)
    await socket.ask("slow")
    assert (await socket.receive_json_from(timeout=5))["type"] == "delta"
    assert await own_data.erase(visitor) == 2
    frames = []
    while not frames or frames[-1]["type"] != "cleared":
        frames.append(await socket.receive_json_from(timeout=5))
    assert [frame["outcome"] for frame in frames if frame["type"] == "end"] == ["stopped"]
    assert not await ChatMessage.objects.aexists()
    assert not await ConversationStart.objects.aexists()
    assert await register().ended() == []
    assert (await register().latest([visitor]))[0].run is None
    await socket.ask("And now?")
    await socket.until_end()
    assert model.told == ["And now?"]
    assert [row.question for row in await rows(1)] == ["And now?"]
    await socket.disconnect()


async def test_a_run_that_does_not_end_keeps_everything_for_another_try(
    visitor: uuid.UUID, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "PATIENCE", 0.2)

    async def unheard(*_: object) -> bool:
        return False

    socket = await Socket(visitor).opened()
    await socket.ask("slow")
    monkeypatch.setattr(own_data.runs.log(), "stop", unheard)
    with pytest.raises(StillWritten):
        await own_data.erase(visitor)
    monkeypatch.undo()
    assert await own_data.erase(visitor) == 1
    assert not await ChatMessage.objects.aexists()
    with suppress(RedisError):
        await socket.disconnect()
