"""A run's frames without a WebSocket: the same, from the same cursor."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.test import AsyncClient

from config.visitors import COOKIE, make_cookie
from llm import registry
from tests.llm.attentive import Model
from tests.ws_chat.conftest import Socket
from ws_chat import views

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"
WHOLE = "one two three four five six seven eight nine ten"


@pytest.fixture
def client(visitor: uuid.UUID) -> AsyncClient:
    """The visitor's browser."""
    client = AsyncClient()
    client.cookies[COOKIE] = make_cookie(visitor)
    return client


async def _stream(client: AsyncClient, run: str, after: int = 0, **headers: str) -> AsyncIterator[tuple[str, Any]]:
    """Yield id and frame of each message."""
    response: Any = await client.get(f"/api/ws-chat/{run}/events/?after={after}", headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert {"no-store", "no-transform"} <= set(response.headers["Cache-Control"].split(", "))
    async for part in response.streaming_content:
        fields = dict(line.split(": ", 1) for line in part.decode().strip().split("\n"))
        if fields.get("event") != "heartbeat":
            yield fields.get("id", ""), json.loads(fields["data"])


async def _begun(visitor: uuid.UUID) -> str:
    """Ask, read two deltas, and lose the socket; return the run."""
    socket = await Socket(visitor).opened()
    run = await socket.ask(SLOW)
    for _ in range(2):
        await socket.receive_json_from(timeout=5)
    await socket.disconnect()
    return run


@pytest.mark.parametrize("how", ["parameter", "header"])
async def test_an_answer_goes_on_as_a_stream_of_events(visitor: uuid.UUID, client: AsyncClient, how: str) -> None:
    run = await _begun(visitor)
    stream = _stream(client, run, 2) if how == "parameter" else _stream(client, run, 0, **{"Last-Event-ID": "2"})
    received = [message async for message in stream]
    *deltas, (_, end) = received
    assert "".join(frame["text"] for _, frame in deltas) == WHOLE.removeprefix("one two ")
    assert [number for number, _ in deltas] == [str(frame["seq"]) for _, frame in deltas]
    assert (end["type"], end["outcome"], end["text"]) == ("end", "done", WHOLE)


async def test_an_answer_goes_on_by_asking_again_and_again(visitor: uuid.UUID, client: AsyncClient) -> None:
    run = await _begun(visitor)
    text, cursor, end = "one two ", 2, None
    async with asyncio.timeout(20):
        while end is None:
            response = await client.get(f"/api/ws-chat/{run}/frames/?after={cursor}&wait=5")
            for frame in response.json()["frames"]:
                if frame["type"] == "end":
                    end = frame
                else:
                    assert frame["seq"] > cursor
                    text, cursor = text + frame["text"], frame["seq"]
    assert (text, end["text"], end["seq"]) == (WHOLE, WHOLE, cursor)


async def test_who_has_nothing_gets_the_question_and_everything(visitor: uuid.UUID, client: AsyncClient) -> None:
    run = await _begun(visitor)
    received = [frame async for _, frame in _stream(client, run)]
    assert (received[0]["type"], received[0]["question"]) == ("started", SLOW)
    assert "".join(frame["text"] for frame in received[1:-1]) == WHOLE


async def test_where_nothing_is_new_a_request_is_answered_after_its_wait(
    visitor: uuid.UUID, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model({"answer": "Fine."})
    model.may_answer.clear()
    monkeypatch.setattr(registry, "build", lambda *_: model)
    await registry.aclose()
    socket = await Socket(visitor).opened()
    run = await socket.ask("Hello")
    for wait in ("0", "x", "-1", ""):
        response = await client.get(f"/api/ws-chat/{run}/frames/?after=1&wait={wait}")
        assert response.json() == {"frames": []}
    monkeypatch.setattr(views, "HEARTBEAT", 0.02)
    response = await client.get(f"/api/ws-chat/{run}/events/?after=1")
    parts: Any = response.streaming_content
    assert [await anext(parts) for _ in range(3)] == [b"event: heartbeat\ndata: {}\n\n"] * 3
    await parts.aclose()
    model.may_answer.set()
    await socket.until_end()
    await socket.disconnect()
    await registry.aclose()


@pytest.mark.parametrize("door", ["events", "frames"])
async def test_somebody_else_s_run_is_as_unknown_as_none(visitor: uuid.UUID, door: str) -> None:
    run = await _begun(visitor)
    stranger = AsyncClient()
    stranger.cookies[COOKIE] = make_cookie(uuid.uuid4())
    answers = [await stranger.get(f"/api/ws-chat/{each}/{door}/") for each in (run, uuid.uuid4())]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["error"]["code"] == "unknown_run"
