"""Pages that ask, lose their connection, come back to any of two servers, and stop, in every order."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any, Self

import pytest
from channels.db import database_sync_to_async
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from tests.ws_chat.web import Web, web
from ws_chat.models import ChatMessage

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = " ".join(f"b{number}" for number in range(40))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[list[Web]]:
    """Two web servers."""
    folder, database = tmp_path_factory.mktemp("web"), str(connection.settings_dict["NAME"])
    with web(folder, database) as first, web(folder, database) as second:
        yield [first, second]


class Shown:
    """A run as a page shows it."""

    def __init__(self) -> None:
        self.text, self.cursor = "", 0
        self.end: dict[str, Any] | None = None


class Visitor:
    """One page of a visitor, wherever it is connected, and every run that it has begun."""

    def __init__(self, servers: list[Web]) -> None:
        self.id = uuid.uuid4()
        self._servers = servers
        self.runs: dict[str, Shown] = {}
        self.running: str | None = None

    async def connect(self, number: int) -> Self:
        self._page = await self._servers[number].page(self.id).__aenter__()
        if self.running is not None:
            await self._page.send("resume", run=self.running, after=self.runs[self.running].cursor)
        return self

    async def cut(self) -> None:
        """Lose the connection, without a word."""
        self._page.socket.transport.abort()
        await self._page.__aexit__(None, None, None)

    async def read(self) -> dict[str, Any]:
        """Take in the next frame."""
        frame = await self._page.frame()
        run = frame.get("run")
        if frame["type"] == "started":
            if run not in self.runs:
                assert self.running is None
                self.runs[run], self.running = Shown(), run
            assert self.runs[run].cursor == 0
        elif frame["type"] == "delta":
            shown = self.runs[run]
            assert (shown.end, frame["restart"]) == (None, False)
            assert frame["seq"] > shown.cursor
            shown.text, shown.cursor = shown.text + frame["text"], frame["seq"]
            assert WHOLE.startswith(shown.text)
        elif frame["type"] == "end":
            assert self.runs[run].end is None
            self.runs[run].end, self.running = frame, None
        return frame

    async def ask(self) -> None:
        await self._page.send("ask", text="scene:brisk")
        # A stop that came after the end, which crossed it, is answered with that it came too late.
        while (frame := await self.read())["type"] not in ("started", "error") or frame.get("code") == "not_running":
            pass
        assert frame["type"] == "started" or (frame["code"] == "busy" and self.running is not None)

    async def stop(self) -> None:
        """Stop what is being written; what was seen is what is kept."""
        if (run := self.running) is None:
            return
        shown = self.runs[run]
        seen, cursor = shown.text, shown.cursor
        await self._page.send("stop", run=run, seen=cursor)
        while shown.end is None:
            await self.read()
        if shown.end["outcome"] == "stopped":
            assert (shown.end["text"], shown.end["seq"]) == (seen, cursor)

    async def finish(self) -> None:
        while self.running is not None:
            await self.read()
        await self._page.__aexit__(None, None, None)


steps = st.lists(
    st.one_of(
        st.just(("ask",)),
        st.tuples(st.just("read"), st.integers(1, 12)),
        st.tuples(st.just("cut"), st.sampled_from([0.0, 0.0, 0.02, 0.3]), st.integers(0, 1)),
        st.just(("stop",)),
    ),
    max_size=8,
)


@how(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, begin=st.integers(0, 1))
async def test_nothing_is_lost_nothing_is_repeated_and_each_run_has_one_row(
    steps: list[tuple[Any, ...]], begin: int, servers: list[Web]
) -> None:
    visitor = await Visitor(servers).connect(begin)
    await visitor.ask()
    for kind, *arguments in steps:
        if kind == "ask":
            await visitor.ask()
        elif kind == "stop":
            await visitor.stop()
        elif kind == "read":
            for _ in range(arguments[0]):
                if visitor.running is not None:
                    await visitor.read()
        else:
            await visitor.cut()
            await asyncio.sleep(arguments[0])
            await visitor.connect(arguments[1])
    await visitor.finish()
    for shown in visitor.runs.values():
        assert shown.end is not None
        assert shown.end["outcome"] in ("done", "stopped")
        if shown.end["outcome"] == "done":
            assert (shown.text, shown.end["text"], shown.end["seq"]) == (WHOLE, WHOLE, shown.cursor)
    found = await _rows(visitor)
    assert {run: shown.end and (shown.end["outcome"], shown.end["text"]) for run, shown in visitor.runs.items()} == {
        str(row.run_id): (row.status, row.answer) for row in found
    }


async def _rows(visitor: Visitor) -> list[ChatMessage]:
    for _ in range(500):
        found = await database_sync_to_async(list)(ChatMessage.objects.filter(visitor_id=visitor.id))
        if len(found) >= len(visitor.runs):
            break
        await asyncio.sleep(0.02)
    return found
