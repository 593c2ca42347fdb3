"""Whenever a page loses its connection, it gets exactly what it missed."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from channels.db import database_sync_to_async
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from pytest_django import Settings
from uuid_utils.compat import uuid7

from config import redis
from config.serving import at_once
from llm import registry, runs, shared_state
from llm.providers.openai_compatible import OpenAICompatible
from llm.runs.store import RunInfo
from tests.llm.attentive import Model
from tests.llm.servers.openai import OpenAIServer
from tests.llm.servers.relay import Relay
from tests.llm.servers.wire import Scene
from tests.ws_chat.conftest import Socket, rows
from ws_chat import audit, protocol, retrieval, sweeping
from ws_chat.generating import generations
from ws_chat.models import ChatMessage, Status
from ws_chat.records import Asked, Record
from ws_chat.register import register
from ws_chat.tabs import tabs

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"
WORDS = "".join(f"w{number} " for number in range(40))


# Forty words at the speed of reading.
SCENES: list[dict[str, object]] = [{"contains": "long", "answer": WORDS, "token_ms": 2}, {"answer": "Fine."}]


async def test_a_piece_that_cannot_be_sent_at_once_is_sent_in_its_turn(model: Model) -> None:
    socket = Socket(uuid.uuid4())
    refused: list[str] = []

    def send(text: str) -> bool:
        refused.append(text)
        raise OSError("the connection is going")

    at_once.offer(socket.scope, send)
    await socket.opened()
    await socket.ask("a long one")
    deltas, end = await socket.until_end()
    assert "".join(delta["text"] for delta in deltas) == WORDS
    assert end["outcome"] == "done"
    assert refused
    await socket.disconnect()


# How many frames a page reads before its connection is lost, and how long it is away, in seconds.
losses = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.0, 0.003, 0.02, 0.2])), max_size=6)


@how(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(losses=losses)
async def test_wherever_it_is_cut_a_page_has_a_prefix_and_in_the_end_the_whole(
    losses: list[tuple[int, float]], model: Model
) -> None:
    visitor = uuid.uuid4()
    socket = await Socket(visitor).opened()
    run = await socket.ask("a long one")
    text, cursor, end = "", 0, None
    for count, away in [*losses, (1000, 0.0)]:
        while count and end is None:
            frame = await socket.receive_json_from(timeout=10)
            count -= 1
            assert frame["run"] == run
            if frame["type"] == "end":
                end = frame
            elif frame["type"] == "started":
                assert (frame["question"], cursor) == ("a long one", 0)
            else:
                assert frame["seq"] > cursor
                text, cursor = text + frame["text"], frame["seq"]
            assert WORDS.startswith(text)
        await socket.disconnect()
        if end is not None:
            break
        await asyncio.sleep(away)
        socket = await Socket(visitor).opened()
        assert socket.latest == run
        await socket.send_json_to({"type": "resume", "run": run, "after": cursor})
    assert end is not None
    assert (text, end["text"], end["seq"], end["outcome"]) == (WORDS, WORDS, cursor, "done")


async def test_a_page_that_comes_back_is_not_shown_what_came_before_the_run_that_its_greeting_names(
    visitor: uuid.UUID, model: Model
) -> None:
    first = await Socket(visitor).opened()
    runs_before = []
    for _ in range(2):
        runs_before.append(await first.ask("Hello"))
        await first.until_end()
    await first.disconnect()
    second = await Socket(visitor).opened()
    assert second.latest == runs_before[1]
    # As what was read before the last question was registered says it late.
    earlier = uuid.UUID(runs_before[0])
    tabs().show(visitor, earlier)
    assert await second.receive_nothing(timeout=0.2)
    # What begins here is shown, also where this machine's clock is behind that of the process before.
    tabs().show(visitor, earlier, Asked(earlier, "Hello"))
    assert (await second.receive_json_from())["type"] == "started"
    await second.disconnect()


@pytest.mark.parametrize("known", [True, False])
async def test_a_page_that_hears_of_a_run_while_it_resumes_it_is_not_shown_it_twice(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    socket = await Socket(visitor).opened()
    # Another process has begun it just now, which we are told while the page asks for the rest.
    run = uuid7()
    writer = runs.log().open(run, owner=str(visitor))
    writer.write("one ")
    info = retrieval.info

    async def told_meanwhile(visitor: uuid.UUID, run: uuid.UUID) -> RunInfo:
        tabs().show(visitor, run)
        return await info(visitor, run if known else uuid.uuid4())

    monkeypatch.setattr(retrieval, "info", told_meanwhile)
    await socket.send_json_to({"type": "resume", "run": str(run), "after": 1})
    assert await socket.receive_nothing(timeout=0.1)
    writer.write("two")
    writer.end("done")
    deltas, end = await socket.until_end()
    assert [(delta["seq"], delta["text"]) for delta in deltas] == [(2, "two")]
    assert end["text"] == "one two"
    await socket.disconnect()


@pytest.mark.parametrize("kind", ["resume", "stop"])
async def test_somebody_else_s_run_is_as_unknown_as_none(visitor: uuid.UUID, kind: str) -> None:
    mine, other = await Socket(visitor).opened(), await Socket(uuid.uuid4()).opened()
    run = await mine.ask(SLOW)
    answers = []
    for each in (run, str(uuid.uuid4())):
        await other.send_json_to({"type": kind, "run": each, ("after" if kind == "resume" else "seen"): 0})
        answers.append(await other.receive_json_from())
        assert answers[-1].pop("run") == each
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "unknown_run"
    assert (await mine.until_end())[1]["outcome"] == "done"
    for socket in (mine, other):
        await socket.disconnect()


async def test_several_pages_show_a_run_and_each_may_stop_it(visitor: uuid.UUID) -> None:
    pages = [await Socket(visitor).opened() for _ in range(3)]
    run = await pages[0].ask(SLOW)
    for page in pages[1:]:
        started = await page.receive_json_from()
        assert (started["type"], started["run"], started["question"]) == ("started", run, SLOW)
        await page.send_json_to({"type": "ask", "text": "Me too"})
        assert (await page.receive_json_from())["code"] == "busy"
    for _ in range(3):
        assert len({str(await page.receive_json_from(timeout=5)) for page in pages}) == 1
    await pages[2].send_json_to({"type": "stop", "run": run, "seen": 3})
    ends = [(await page.until_end())[1] for page in pages]
    assert ends[0] == ends[1] == ends[2]
    assert (ends[0]["outcome"], ends[0]["text"]) == ("stopped", "one two three ")
    for page in pages:
        await page.disconnect()


async def test_a_run_that_only_the_rows_know_ends_with_its_row(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("Hello")
    _, end = await socket.until_end()
    await rows(1)
    async with asyncio.timeout(10):
        while await register().find([uuid.UUID(run)]) or await register().ended():
            await asyncio.sleep(0.01)
    await runs.log().forget([uuid.UUID(run)])
    await socket.send_json_to({"type": "resume", "run": run, "after": 0})
    assert await socket.receive_json_from() == {"type": "started", "run": run, "turn": run, "question": "Hello"}
    again = await socket.receive_json_from()
    assert again == end | {"seq": 0}
    await socket.disconnect()
    stranger = await Socket(uuid.uuid4()).opened()
    await stranger.send_json_to({"type": "resume", "run": run, "after": 0})
    assert (await stranger.receive_json_from())["code"] == "unknown_run"
    await stranger.disconnect()


async def test_who_resumes_without_end_is_refused(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("Hello")
    await socket.until_end()
    for _ in range(protocol.MAX_RESUMED):
        await socket.send_json_to({"type": "resume", "run": run, "after": 1000})
        assert (await socket.receive_json_from())["type"] == "end"
    await socket.send_json_to({"type": "resume", "run": run, "after": 1000})
    assert (await socket.receive_json_from())["code"] == "too_often"
    await socket.disconnect()


async def test_a_stop_closes_the_request_to_the_model_at_once(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    async with OpenAIServer(Scene(pieces=("one ", "two ", "three"), gated=True)).listening() as server:
        provider = OpenAICompatible(name="openai", model="m", base_url=f"{server.url}/v1", api_key="sk-1")
        monkeypatch.setattr(registry, "build", lambda *_: provider)
        await registry.aclose()
        socket = await Socket(visitor).opened()
        run = await socket.ask("Hello")
        await socket.receive_json_from(timeout=10)
        server.permits.release()
        await socket.receive_json_from(timeout=10)
        asked_at = loop.time()
        await socket.send_json_to({"type": "stop", "run": run, "seen": 1})
        (exchange,) = server.exchanges
        async with asyncio.timeout(10):
            await exchange.left.wait()
        assert exchange.left_at is not None
        assert exchange.left_at - asked_at < 0.1
        _, end = await socket.until_end()
        assert (end["outcome"], end["text"]) == ("stopped", "one ")
        await socket.disconnect()
        await registry.aclose()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for rows to write does so again and again."""
    monkeypatch.setattr(sweeping, "EVERY", 0.05)
    monkeypatch.setattr(audit, "PAUSE", 0.1)


def _rename(old: str, new: str) -> Callable[[], None]:
    def rename() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    return rename


async def test_a_database_that_is_away_costs_no_row_and_is_not_noticed(visitor: uuid.UUID, impatient: None) -> None:
    socket = await Socket(visitor).opened()
    await database_sync_to_async(_rename("wbs_chatmessage", "away"))()
    try:
        asked = [await socket.ask("Hello"), None]
        assert (await socket.until_end())[1]["outcome"] == "done"
        asked[1] = await socket.ask("Hello again")
        assert (await socket.until_end())[1]["outcome"] == "done"
        async with asyncio.timeout(10):
            while len(await register().ended()) < 2:
                await asyncio.sleep(0.01)
    finally:
        await database_sync_to_async(_rename("away", "wbs_chatmessage"))()
    found = await rows(2)
    assert [str(row.run_id) for row in found] == asked
    assert {row.status for row in found} == {Status.DONE}
    async with asyncio.timeout(10):
        while await register().ended():
            await asyncio.sleep(0.01)
    await socket.disconnect()


async def test_what_is_recorded_twice_is_one_row(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask("Hello")
    await socket.until_end()
    (row,) = await rows(1)
    record = Record.model_validate(row, from_attributes=True)
    audit.recorder().put(record.model_copy(update={"status": Status.INTERRUPTED, "answer": "half"}))
    assert await audit.recorder().flush(10)
    (again,) = await database_sync_to_async(list)(ChatMessage.objects.all())
    assert (again.status, again.answer) == (Status.DONE, row.answer)
    await socket.disconnect()


async def test_with_redis_away_an_answer_goes_on_in_its_process_and_has_its_row(
    visitor: uuid.UUID, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_state, "PATIENCE", 0.2)
    async with Relay(settings.REDIS_URL).listening() as door:
        settings.REDIS_URL = door.url
        socket = await Socket(visitor).opened()
        door.open = False
        run = await socket.ask(SLOW)
        await socket.receive_json_from(timeout=5)
        await socket.disconnect()
        again = await Socket(visitor).opened()
        assert again.latest == run
        await again.send_json_to({"type": "resume", "run": run, "after": 1})
        deltas, end = await again.until_end()
        assert "one " + "".join(delta["text"] for delta in deltas) == end["text"]
        assert end["outcome"] == "done"
        (row,) = await rows(1)
        assert (row.status, row.answer) == (Status.DONE, end["text"])
        await again.disconnect()
        door.open = True
        await generations().shut_down()
        await tabs().aclose()
        await runs.log().aclose()
        await redis.aclose()
