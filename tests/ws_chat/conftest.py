"""A visitor's socket, spoken to as Daphne would."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.db.backends.utils import CursorWrapper
from pytest_django import Settings
from redis import Redis

from config.visitors import COOKIE, VisitorScope, make_cookie
from llm import runs
from tests.llm.attentive import fresh, model
from ws_chat import sweeping
from ws_chat.consumers import ChatConsumer
from ws_chat.generating import generations
from ws_chat.models import ChatMessage
from ws_chat.tabs import tabs

__all__ = ["Socket", "fresh", "model", "rows"]


class Socket(WebsocketCommunicator):
    """A connection to the consumer, with frames as dictionaries."""

    def __init__(self, visitor: uuid.UUID | None) -> None:
        cookie = f"{COOKIE}={make_cookie(visitor)}" if visitor else "other=1"
        application: Any = VisitorScope(ChatConsumer.as_asgi())
        super().__init__(application, "/ws/chat/", headers=[(b"cookie", cookie.encode())])

    async def opened(self) -> "Socket":
        """Connect, and read the greeting."""
        assert (await self.connect())[0]
        ready = await self.receive_json_from(timeout=5)
        assert ready["type"] == "ready"
        self.latest = ready["run"]
        return self

    async def ask(self, text: str) -> str:
        """Ask; return the id of the run."""
        await self.send_json_to({"type": "ask", "text": text})
        started = await self.receive_json_from(timeout=5)
        assert (started["type"], started["question"]) == ("started", text)
        run: str = started["run"]
        return run

    async def until_end(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Read the deltas of the run, and its end."""
        deltas = []
        while (frame := await self.receive_json_from(timeout=5))["type"] == "delta":
            deltas.append(frame)
        assert frame["type"] == "end"
        return deltas, frame


@pytest.fixture(autouse=True)
async def finished() -> AsyncIterator[None]:
    """End what a process goes on with when its sockets are closed."""
    yield
    await generations().shut_down()
    await sweeping.aclose()
    await tabs().aclose()
    await runs.log().aclose()


@pytest.fixture(autouse=True)
def nothing_begun(settings: Settings) -> None:
    """Begin with an empty register.

    A server that an earlier test killed may have stored a row without taking its run off: the next one would store it
    once more, in the database that was emptied in between.
    """
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.delete("ws:begun", "ws:ended")


async def rows(count: int) -> list[ChatMessage]:
    """Return the rows as soon as there are so many: they are written after the end was sent."""
    for _ in range(500):
        found = await database_sync_to_async(list)(ChatMessage.objects.order_by("run_id"))
        if len(found) >= count:
            break
        await asyncio.sleep(0.02)
    assert len(found) == count
    return found


@pytest.fixture
def visitor() -> uuid.UUID:
    """A visitor's id."""
    return uuid.uuid4()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the SQL that Django sends, in whatever thread."""
    sent: list[str] = []
    execute = CursorWrapper._execute

    def note(self: CursorWrapper, sql: Any, *arguments: Any) -> Any:
        sent.append(str(sql))
        return execute(self, sql, *arguments)

    monkeypatch.setattr(CursorWrapper, "_execute", note)
    yield sent
