"""Two web servers behind one Redis: a run survives its socket, and its row survives its server."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.db import connection
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.ws_chat.conftest import rows
from tests.ws_chat.web import Web, web
from ws_chat import protocol
from ws_chat.models import Status

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"
WHOLE = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def database(django_db_setup: None) -> str:
    return str(connection.settings_dict["NAME"])


@pytest.fixture(scope="module")
def here(folder: Path, database: str) -> Iterator[Web]:
    with web(folder, database) as server:
        yield server


@pytest.fixture(scope="module")
def there(folder: Path, database: str) -> Iterator[Web]:
    with web(folder, database) as server:
        yield server


@pytest.fixture
def doomed(folder: Path, database: str) -> Iterator[Web]:
    """A server that does not outlive its test."""
    with web(folder, database) as server:
        yield server


async def test_another_process_gives_exactly_what_is_missing(here: Web, there: Web, visitor: uuid.UUID) -> None:
    async with here.page(visitor) as first:
        await first.ask(SLOW)
        await first.read(3)
    async with there.page(visitor) as second:
        assert second.latest == first.run
        await second.resume(first)
        await second.read()
    assert second.text == WHOLE
    assert second.end is not None
    assert (second.end["outcome"], second.end["text"], second.end["seq"]) == ("done", WHOLE, second.cursor)
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.DONE, WHOLE)


async def test_a_page_of_another_process_follows_refuses_a_second_question_and_stops(
    here: Web, there: Web, visitor: uuid.UUID
) -> None:
    async with here.page(visitor) as first, there.page(visitor) as second:
        # It is told of new runs from the moment that Redis knows of it.
        await asyncio.sleep(0.5)
        await first.ask(SLOW)
        await second.started()
        assert (second.run, second.question) == (first.run, SLOW)
        await second.read(2)
        await second.send("ask", text="Me too")
        while (frame := await second.frame())["type"] != "error":
            second.text += frame["text"]
            second.cursor = frame["seq"]
        assert frame["code"] == "busy"
        await second.send("stop", run=second.run, seen=2)
        await asyncio.gather(first.read(), second.read())
    assert first.end is not None
    assert first.end == second.end
    assert (first.end["outcome"], first.end["seq"], first.end["text"]) == ("stopped", 2, "one two ")
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.STOPPED, "one two ")


async def test_a_page_that_comes_later_is_told_what_runs_and_what_was_asked(
    here: Web, there: Web, visitor: uuid.UUID
) -> None:
    async with here.page(visitor) as first, there.page(visitor) as second:
        await first.ask(SLOW)
        await first.read(2)
        async with there.page(visitor) as third:
            await third.send("resume", run=third.latest, after=0)
            await third.started()
            assert (third.run, third.question) == (first.run, SLOW)
            await third.read()
        assert third.text == WHOLE
        await second.started()


async def test_a_killed_server_leaves_its_row_to_another(there: Web, doomed: Web, visitor: uuid.UUID) -> None:
    async with doomed.page(visitor) as first:
        await first.ask(SLOW)
        await first.read(4)
        doomed.process.kill()
        with pytest.raises(ConnectionClosed):
            await first.read()
    async with there.page(visitor) as second:
        assert second.latest == first.run
        await second.send("resume", run=first.run, after=0)
        await second.started()
        assert second.question == SLOW
        await second.read(seconds=60)
        assert second.end is not None
        assert second.end["outcome"] == "interrupted"
        # Its last words may not have been stored yet.
        assert WHOLE.startswith(second.end["text"])
        assert second.end["text"].startswith("one two ")
        (row,) = await rows(1)
    assert (str(row.run_id), row.visitor_id, row.question) == (first.run, visitor, SLOW)
    assert (row.status, row.answer, row.provider) == (Status.INTERRUPTED, second.end["text"], "scripted")
    assert row.first_token_ms is not None
    assert row.total_ms >= row.first_token_ms


async def test_a_server_that_is_told_to_stop_ends_all_its_runs_and_sends_pages_elsewhere(
    there: Web, doomed: Web, visitor: uuid.UUID
) -> None:
    gone = uuid.uuid4()
    async with doomed.page(gone) as left:
        await left.ask(SLOW)
        await left.read(1)
    async with doomed.page(visitor) as first:
        await first.ask(SLOW)
        await first.read(2)
        doomed.process.terminate()
        await first.read()
        assert first.end is not None
        assert (first.end["outcome"], first.end["text"]) == ("interrupted", first.text)
        with pytest.raises(ConnectionClosed) as closed:
            await first.frame()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == protocol.CLOSE_COME_BACK
    assert await asyncio.to_thread(doomed.process.wait, 10) in (0, -15)
    # Stored by whom it concerned, while it was stopping.
    found = {row.visitor_id: row for row in await rows(2)}
    assert found[visitor].answer == first.text
    assert {row.status for row in found.values()} == {Status.INTERRUPTED}
    assert WHOLE.startswith(found[gone].answer)
    async with there.page(visitor) as second:
        await second.resume(first)
        await second.read()
        assert second.end == first.end
    assert "Traceback" not in doomed.log.read_text()


async def test_a_server_that_is_told_to_stop_ends_runs_that_no_page_shows(doomed: Web, visitor: uuid.UUID) -> None:
    async with doomed.page(visitor) as left:
        await left.ask(SLOW)
        await left.read(1)
    # Until the server has seen that the page is gone.
    await asyncio.sleep(0.5)
    doomed.process.terminate()
    await asyncio.to_thread(doomed.process.wait, 10)
    (row,) = await rows(1)
    assert row.status == Status.INTERRUPTED
    assert WHOLE.startswith(row.answer)


NONSENSE = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ).map(json.dumps),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["ask", "resume", "stop", "rate", "ready", "end", "", None, 7])},
        optional={
            "run": st.uuids().map(str) | st.text(max_size=40),
            "after": st.integers() | st.none(),
            "seen": st.integers() | st.text(max_size=3),
            "turn": st.uuids().map(str) | st.integers(),
            "rating": st.sampled_from(["up", "down", None, "sideways", 1]),
            "comment": st.sampled_from(["", "\x00", "x" * 1001, 5, None]),
            "text": st.sampled_from(["", " ", "\x00", "x" * 4001, 5, None, ["ask"]]),
        },
    ).map(json.dumps),
    st.integers(20_000, 100_000).map(lambda size: "[" * size),
)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
async def test_thousands_of_frames_that_make_no_sense_change_nothing(here: Web, visitor: uuid.UUID) -> None:
    process = psutil.Process(here.process.pid)
    kinds = [NONSENSE.example() for _ in range(500)]

    async def pour(frames: list[str | bytes]) -> None:
        for batch in batched(frames, protocol.MAX_REFUSED):
            async with here.page(visitor) as page:
                for frame in batch:
                    await page.socket.send(frame)
                    assert (await page.frame())["type"] == "error"
                with pytest.raises(ConnectionClosed) as closed:
                    await page.frame()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == protocol.CLOSE_MALFORMED

    # The first ones fill caches.
    await pour(kinds)
    before = process.memory_info().rss
    for _ in range(9):
        await pour(kinds)
    assert process.memory_info().rss - before < 20_000_000
    async with here.page(visitor) as page:
        await page.ask("Hello")
        await page.read()
    (row,) = await rows(1)
    assert row.status == Status.DONE
    assert "Traceback" not in here.log.read_text()


def batched(frames: list[str | bytes], size: int) -> Iterator[list[str | bytes]]:
    for begin in range(0, len(frames), size):
        yield frames[begin : begin + size]
