"""The application is plain ASGI: what a page needs works on uvicorn, too."""

import asyncio
import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from websockets.exceptions import ConnectionClosed

from config.visitors import COOKIE, make_cookie
from tests.ws_chat.conftest import rows
from tests.ws_chat.web import Web, web
from ws_chat.models import Status

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"
WHOLE = "one two three four five six seven eight nine ten"


@pytest.fixture
def uvicorn(tmp_path: Path, django_db_setup: None) -> Iterator[Web]:
    """The project on uvicorn."""
    with web(tmp_path, str(connection.settings_dict["NAME"]), on_uvicorn=True) as server:
        yield server


def get(server: Web, visitor: uuid.UUID, path: str) -> str:
    """Return what is at an address, all of it."""
    headers = {"Cookie": f"{COOKIE}={make_cookie(visitor)}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers), timeout=30
    ) as response:
        body: str = response.read().decode()
    return body


async def test_a_question_is_answered_and_resumed_by_every_door(uvicorn: Web, visitor: uuid.UUID) -> None:
    async with uvicorn.page(visitor) as first:
        await first.ask(SLOW)
        await first.read(2)
        # Both come in the middle, and are held to the end.
        address = f"/api/ws-chat/{first.run}"
        events = asyncio.create_task(
            asyncio.to_thread(get, uvicorn, visitor, f"{address}/events/?after={first.cursor}")
        )
        seen, after = first.text, first.cursor
    async with uvicorn.page(visitor) as second:
        assert second.latest == first.run
        await second.resume(first)
        await second.read()
        assert second.text == WHOLE
        assert second.end is not None
        assert (second.end["outcome"], second.end["text"]) == ("done", WHOLE)
    streamed = [json.loads(line[6:]) for line in (await events).splitlines() if line.startswith('data: {"')]
    assert seen + "".join(frame["text"] for frame in streamed if frame["type"] == "delta") == WHOLE
    assert streamed[-1] == second.end
    held = json.loads(await asyncio.to_thread(get, uvicorn, visitor, f"{address}/frames/?after={after}&wait=15"))
    assert held["frames"][-1] == second.end
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.DONE, WHOLE)


async def test_a_poll_is_held_until_there_is_something(uvicorn: Web, visitor: uuid.UUID) -> None:
    async with uvicorn.page(visitor) as page:
        await page.ask(SLOW)
        await page.read(1)
        address = f"/api/ws-chat/{page.run}/frames/?after={page.cursor}&wait=15"
        held = json.loads(await asyncio.to_thread(get, uvicorn, visitor, address))
        assert held["frames"][0]["seq"] > page.cursor
        await page.read()
    await rows(1)


async def test_a_stop_keeps_what_was_seen(uvicorn: Web, visitor: uuid.UUID) -> None:
    async with uvicorn.page(visitor) as page:
        await page.ask(SLOW)
        await page.read(3)
        await page.send("stop", run=page.run, seen=2)
        await page.read()
        assert page.end is not None
        assert (page.end["outcome"], page.end["text"]) == ("stopped", "one two ")
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.STOPPED, "one two ")


async def test_a_server_that_is_told_to_stop_leaves_a_row(uvicorn: Web, visitor: uuid.UUID) -> None:
    async with uvicorn.page(visitor) as page:
        await page.ask(SLOW)
        await page.read(2)
        uvicorn.process.terminate()
        with pytest.raises(ConnectionClosed):
            while page.end is None:
                await page.read(1)
    await asyncio.to_thread(uvicorn.process.wait, 20)
    (row,) = await rows(1)
    assert row.status == Status.INTERRUPTED
    assert WHOLE.startswith(row.answer)
    assert row.answer.startswith("one two ")
    assert "Traceback" not in uvicorn.log.read_text()
