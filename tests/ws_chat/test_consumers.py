import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from pytest_django import Settings

from config.serving import at_once, draining
from llm import breaker, budgets, registry, shared_state
from tests.ws_chat.conftest import Socket, rows
from ws_chat import answers, protocol, transcript
from ws_chat.models import Status

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"


async def test_an_answer_streams_in_contiguous_pieces_and_ends_with_the_whole(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("Hello there")
    deltas, end = await socket.until_end()
    assert len(deltas) > 3
    assert [delta["seq"] for delta in deltas] == list(range(1, len(deltas) + 1))
    assert {delta["run"] for delta in deltas} == {run} == {end["run"]}
    assert "".join(delta["text"] for delta in deltas) == end["text"]
    assert end["text"].endswith("You said: Hello there")
    assert end["html"] == f"<p>{end['text']}</p>\n"
    assert (end["outcome"], end["seq"], end["error"]) == ("done", len(deltas), "")
    assert (end["provider"], end["model"], end["fallback"]) == ("scripted", "script", False)
    # Those that came in a burst are joined.
    assert end["usage"]["completion_tokens"] >= len(deltas)
    assert 0 <= end["timings"]["first_token_ms"] <= end["timings"]["total_ms"]
    await socket.disconnect()


async def test_pieces_that_a_server_sends_at_once_and_others_come_in_order(visitor: uuid.UUID) -> None:
    socket = Socket(visitor)
    offers = iter(range(10_000))

    def send(text: str) -> bool:
        number = next(offers)
        if number % 5 == 4:
            raise OSError("the connection has a problem")
        if number % 3 == 2:
            return False
        socket.output_queue.put_nowait({"type": "websocket.send", "text": text})
        return True

    at_once.offer(socket.scope, send)
    await socket.opened()
    await socket.ask("scene:brisk please")
    deltas, end = await socket.until_end()
    numbers = [delta["seq"] for delta in deltas]
    assert numbers == sorted(set(numbers))
    assert "".join(delta["text"] for delta in deltas) == end["text"]
    assert next(offers) > 5
    await socket.disconnect()


async def test_a_question_waits_for_one_round_trip(visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[set[shared_state.Script]] = []
    evaluate = shared_state._evaluate

    async def note(client: Any, wanted: Any) -> Any:
        trips.append({each.script for each in wanted})
        return await evaluate(client, wanted)

    socket = await Socket(visitor).opened()
    # As in a process that has answered before.
    registry.chain("chat")
    monkeypatch.setattr(shared_state, "_evaluate", note)
    await socket.ask(SLOW)
    assert (await socket.receive_json_from(timeout=5))["type"] == "delta"
    # Whether there is room in the budget, and whether the provider is well.
    asked = {budgets._RESERVE, breaker._LOOK, breaker._ADMIT}
    assert [trip & asked for trip in trips if trip & asked] == [{budgets._RESERVE, breaker._LOOK}]
    await socket.disconnect()


async def test_a_frame_waits_for_no_thread(visitor: uuid.UUID, hops: list[str]) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask("Hello there")
    await socket.until_end()
    # Channels would have Django's connections looked after there, before each frame.
    assert "close_old_connections" not in hops
    await socket.disconnect()


async def test_a_ping_is_answered_while_an_answer_streams(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask(SLOW)
    assert (await socket.receive_json_from(timeout=5))["type"] == "delta"
    await socket.send_json_to({"type": "ping"})
    kinds = []
    while "end" not in kinds:
        kinds.append((await socket.receive_json_from(timeout=5))["type"])
    assert kinds.count("pong") == 1
    await socket.disconnect()


async def test_a_run_leaves_one_row(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("Hello there")
    _, end = await socket.until_end()
    (row,) = await rows(1)
    assert (str(row.run_id), row.visitor_id, row.status) == (run, visitor, Status.DONE)
    assert (row.question, row.answer, row.error) == ("Hello there", end["text"], "")
    assert (row.provider, row.model) == ("scripted", "script")
    assert row.completion_tokens == end["usage"]["completion_tokens"]
    assert (row.first_token_ms, row.total_ms) == (end["timings"]["first_token_ms"], end["timings"]["total_ms"])
    await socket.disconnect()


async def test_no_statement_is_sent_while_an_answer_streams(visitor: uuid.UUID, statements: list[str]) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask(SLOW)
    # Of the earlier conversation, which is read when the page connects.
    statements.clear()
    for _ in range(10):
        assert (await socket.receive_json_from(timeout=5))["type"] == "delta"
    assert statements == []
    assert (await socket.receive_json_from())["type"] == "end"
    await rows(1)
    assert len([statement for statement in statements if statement.startswith("INSERT")]) == 1
    await socket.disconnect()


async def test_a_stop_ends_the_run_after_what_was_seen(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask(SLOW)
    for _ in range(3):
        await socket.receive_json_from(timeout=5)
    await socket.send_json_to({"type": "stop", "run": run, "seen": 2})
    _, end = await socket.until_end()
    assert (end["outcome"], end["seq"], end["text"]) == ("stopped", 2, "one two ")
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.STOPPED, "one two ")
    await socket.disconnect()


async def test_an_answer_goes_on_without_its_socket(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask(SLOW)
    for _ in range(2):
        await socket.receive_json_from(timeout=5)
    await socket.disconnect()
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.DONE, "one two three four five six seven eight nine ten")


async def test_a_server_that_shuts_down_records_what_was_sent(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask(SLOW)
    await socket.receive_json_from(timeout=5)
    # Our server cancels what still runs, and calls no `disconnect`.
    assert socket.future is not None
    socket.future.cancel()
    await draining.drain()
    with pytest.raises(asyncio.CancelledError):
        await socket.future
    end, close = [socket.output_queue.get_nowait() for _ in range(socket.output_queue.qsize())][-2:]
    assert (json.loads(end["text"])["outcome"], json.loads(end["text"])["text"]) == ("interrupted", "one ")
    # Pages are to come back, and resume, whatever server they find then.
    assert close == {"type": "websocket.close", "code": protocol.CLOSE_COME_BACK}
    (row,) = await rows(1)
    assert (row.status, row.answer) == (Status.INTERRUPTED, "one ")


async def test_a_connection_that_is_cancelled_alone_ends_nobodys_answer(visitor: uuid.UUID) -> None:
    socket, gone = await Socket(visitor).opened(), await Socket(uuid.uuid4()).opened()
    await socket.ask(SLOW)
    await socket.receive_json_from(timeout=5)
    # Daphne does that where a connection is closed and its application takes longer than ten seconds.
    assert gone.future is not None
    gone.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone.future
    _, end = await socket.until_end()
    assert end["outcome"] == "done"
    await socket.disconnect()


@pytest.mark.parametrize(("question", "kept"), [("scene:rejected", ""), ("scene:cut", "this answer")])
async def test_a_model_that_fails_is_said_and_recorded(visitor: uuid.UUID, question: str, kept: str) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask(question)
    _, end = await socket.until_end()
    assert (end["outcome"], end["text"]) == ("error", kept)
    assert end["error"].endswith(".")
    (row,) = await rows(1)
    assert (row.status, row.answer, row.error) == (Status.ERROR, kept, end["error"])
    assert await socket.ask("Hello again")
    await socket.until_end()
    await socket.disconnect()


async def test_a_fault_of_ours_is_said_without_its_details(visitor: uuid.UUID, settings: Settings) -> None:
    settings.LLM_CHAINS = {}
    socket = await Socket(visitor).opened()
    await socket.ask("Hello")
    _, end = await socket.until_end()
    assert (end["outcome"], end["error"]) == ("error", answers.UNEXPECTED)
    (row,) = await rows(1)
    assert row.status == Status.ERROR
    await socket.disconnect()


async def test_a_second_question_waits_for_its_turn(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask(SLOW)
    await socket.send_json_to({"type": "ask", "text": "Me too"})
    assert (await socket.receive_json_from())["code"] == "busy"
    await socket.send_json_to({"type": "stop", "run": run, "seen": 0})
    _, end = await socket.until_end()
    assert end["run"] == run
    await socket.ask("Me too")
    await socket.until_end()
    assert [row.question for row in await rows(2)] == [SLOW, "Me too"]
    await socket.disconnect()


async def test_the_next_question_may_follow_the_end_at_once(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    for _ in range(5):
        await socket.ask("Hello")
        await socket.until_end()
    await rows(5)
    await socket.disconnect()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{not json", "malformed"),
        ('{"type": "shout"}', "unknown_type"),
        ('{"type": "ask", "text": "  "}', "empty_message"),
        ('{"type": "stop", "run": "0190163d-8694-739b-aea5-966c26f8ad91", "seen": 0}', "unknown_run"),
        ('{"type": "resume", "run": "0190163d-8694-739b-aea5-966c26f8ad91", "after": 0}', "unknown_run"),
    ],
)
async def test_a_frame_that_makes_no_sense_is_answered_and_stores_nothing(
    visitor: uuid.UUID, frame: str, code: str
) -> None:
    socket = await Socket(visitor).opened()
    await socket.send_to(text_data=frame)
    error = await socket.receive_json_from()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["message"].endswith(".")
    await socket.send_to(bytes_data=b"\xff\xfe")
    assert (await socket.receive_json_from())["code"] == "binary"
    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from() == {"type": "pong"}
    await socket.disconnect()
    await rows(0)


async def test_nothing_but_nonsense_closes_the_socket(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    for _ in range(protocol.MAX_REFUSED - 1):
        await socket.send_to(text_data="nonsense")
        await socket.receive_json_from()
    await socket.send_json_to({"type": "ping"})
    await socket.receive_json_from()
    for _ in range(protocol.MAX_REFUSED):
        await socket.send_to(text_data="nonsense")
        await socket.receive_json_from()
    assert await socket.receive_output() == {"type": "websocket.close", "code": protocol.CLOSE_MALFORMED}


async def test_a_visitor_without_the_cookie_is_told_what_to_do() -> None:
    socket = Socket(None)
    await socket.connect()
    error = await socket.receive_json_from()
    assert error["code"] == "no_visitor"
    assert await socket.receive_output() == {"type": "websocket.close", "code": protocol.CLOSE_NO_VISITOR}


async def test_history_is_the_visitors_own_and_oldest_first(visitor: uuid.UUID) -> None:
    for who, question in ((visitor, "first"), (uuid.uuid4(), "not mine"), (visitor, "second"), (visitor, "third")):
        socket = await Socket(who).opened()
        await socket.ask(question)
        await socket.until_end()
        await socket.disconnect()
    await rows(4)
    found, following = await database_sync_to_async(transcript.page)(visitor, 2)
    assert following == found[0].turn_id
    assert [row.question for row in found] == ["second", "third"]


@pytest.mark.parametrize("broken_from", ["delta", "end"])
async def test_a_connection_that_breaks_before_the_server_knows_is_no_error(
    visitor: uuid.UUID, broken_from: str, caplog: pytest.LogCaptureFixture
) -> None:
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    broken = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if f'"type":"{broken_from}"' in message.get("text", ""):
            broken.set()
            # What servers raise differs; the specification says OSError, Daphne has an exception of its own.
            raise RuntimeError("Attempt to send on a closed protocol")

    serving = asyncio.ensure_future(Socket(visitor).application(Socket(visitor).scope, received.get, send))
    received.put_nowait({"type": "websocket.connect"})
    received.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": "ask", "text": "Hello there"})})
    await broken.wait()
    (row,) = await rows(1)
    received.put_nowait({"type": "websocket.disconnect", "code": 1006})
    with suppress(StopConsumer):
        await serving
    assert (row.status, row.error) == (Status.DONE, "")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
