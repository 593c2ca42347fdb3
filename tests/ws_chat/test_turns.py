"""Asked again and edited: the newest version counts, the earlier ones stay as rows."""

import uuid

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient
from pytest_django import Settings

from config import redis
from config.visitors import COOKIE, make_cookie
from llm import conversations, runs
from llm.limits import Limits
from llm.types import Message
from tests.llm.attentive import Model
from tests.ws_chat.conftest import Socket, rows
from ws_chat import protocol, transcript
from ws_chat.models import ChatMessage, Status

pytestmark = pytest.mark.django_db(transaction=True)


SCENES: list[dict[str, object]] = [
    {"contains": "slow", "answer": "one two three four five", "token_ms": 100},
    {"contains": "cut", "error": "broken"},
    {"contains": "edited", "answer": "Better."},
    {"answer": "Fine."},
]


async def _answered(socket: Socket, text: str, turn: str | None = None) -> tuple[str, str]:
    """Ask, and read to the end; return run and turn."""
    await socket.send_json_to({"type": "ask", "text": text, "turn": turn})
    started = await socket.receive_json_from(timeout=5)
    assert (started["type"], started["question"]) == ("started", text), started
    await socket.until_end()
    return started["run"], started["turn"]


async def _refusal(socket: Socket, text: str, turn: str) -> str:
    await socket.send_json_to({"type": "ask", "text": text, "turn": turn})
    error = await socket.receive_json_from(timeout=5)
    assert error["type"] == "error"
    code: str = error["code"]
    return code


async def test_asked_again_the_model_does_not_know_its_first_answer_and_both_are_rows(
    visitor: uuid.UUID, model: Model
) -> None:
    socket = await Socket(visitor).opened()
    await _answered(socket, "Before")
    first, turn = await _answered(socket, "Hello")
    assert turn == first
    second, same = await _answered(socket, "Hello", turn)
    assert (same, second != first) == (turn, True)
    assert model.told == ["Before", "Fine.", "Hello"]
    assert [(str(row.run_id), str(row.turn_id)) for row in (await rows(3))[1:]] == [(first, turn), (second, turn)]
    await _answered(socket, "And now?")
    assert model.told == ["Before", "Fine.", "Hello", "Fine.", "And now?"]
    await socket.disconnect()


@pytest.mark.parametrize("lost", ["nothing", "memory", "memory and Redis"])
async def test_an_edited_question_takes_the_place_of_the_one_before_for_the_model_and_for_the_page(
    visitor: uuid.UUID, model: Model, lost: str
) -> None:
    socket = await Socket(visitor).opened()
    _, turn = await _answered(socket, "Hello")
    for text in ("edited once", "edited twice"):
        await _answered(socket, text, turn)
    await rows(3)
    if lost != "nothing":
        await socket.disconnect()
        await conversations.aclose(10)
        if lost == "memory and Redis":
            await redis.client().delete(f"llm:memory:{{ws:{visitor}}}")
        socket = await Socket(visitor).opened()
    await _answered(socket, "And now?")
    assert model.requests[-1].messages[1:] == (
        Message("user", "edited twice"),
        Message("assistant", "Better."),
        Message("user", "And now?"),
    )
    await rows(4)
    shown, _ = await database_sync_to_async(transcript.page)(visitor)
    assert [(row.question, row.answer) for row in shown] == [("edited twice", "Better."), ("And now?", "Fine.")]
    await socket.disconnect()


async def test_only_the_last_question_is_asked_again(visitor: uuid.UUID, model: Model) -> None:
    socket = await Socket(visitor).opened()
    _, turn = await _answered(socket, "Hello")
    await _answered(socket, "And now?")
    assert await _refusal(socket, "Hello", turn) == "not_last"
    stranger = await Socket(uuid.uuid4()).opened()
    assert await _refusal(stranger, "Hello", turn) == "unknown_run"
    assert await _refusal(stranger, "Hello", str(uuid.uuid4())) == "unknown_run"
    assert len(await rows(2)) == 2
    for each in (socket, stranger):
        await each.disconnect()


@pytest.mark.parametrize("known", ["the run log", "its row"])
async def test_a_question_that_failed_is_asked_again(visitor: uuid.UUID, model: Model, known: str) -> None:
    socket = await Socket(visitor).opened()
    await _answered(socket, "Hello")
    run, turn = await _answered(socket, "cut")
    await rows(2)
    if known == "its row":
        await runs.log().forget([uuid.UUID(run)])
    await _answered(socket, "edited", turn)
    await _answered(socket, "And now?")
    assert model.told == ["Hello", "Fine.", "edited", "Better.", "And now?"]
    await socket.disconnect()


async def test_of_versions_that_failed_the_model_knows_the_one_before_and_the_page_shows_the_newest(
    visitor: uuid.UUID, model: Model
) -> None:
    socket = await Socket(visitor).opened()
    _, turn = await _answered(socket, "Hello")
    await _answered(socket, "cut", turn)
    await rows(2)
    shown, _ = await database_sync_to_async(transcript.page)(visitor)
    assert [(row.question, row.status) for row in shown] == [("cut", Status.ERROR)]
    for again in ("kept", "from the rows"):
        if again == "from the rows":
            await socket.disconnect()
            await conversations.aclose(10)
            await redis.client().delete(f"llm:memory:{{ws:{visitor}}}")
            socket = await Socket(visitor).opened()
        await socket.send_json_to({"type": "ask", "text": "slow", "turn": None})
        run = (await socket.receive_json_from(timeout=5))["run"]
        await socket.receive_json_from(timeout=5)
        assert model.told == ["Hello", "Fine.", "slow"]
        await socket.send_json_to({"type": "stop", "run": run, "seen": 0})
        await socket.until_end()
    await socket.disconnect()


async def test_other_pages_are_told_which_turn_it_is(visitor: uuid.UUID, model: Model) -> None:
    first, second = [await Socket(visitor).opened() for _ in range(2)]
    _, turn = await _answered(first, "Hello")
    await second.receive_json_from()
    await second.until_end()
    await first.send_json_to({"type": "ask", "text": "slow and edited", "turn": turn})
    for page in (first, second):
        started = await page.receive_json_from(timeout=5)
        assert (started["turn"], started["question"]) == (turn, "slow and edited")
    late = await Socket(visitor).opened()
    await late.send_json_to({"type": "resume", "run": late.latest, "after": 0})
    assert (await late.receive_json_from(timeout=5))["turn"] == turn
    for page in (first, second, late):
        await page.until_end()
        await page.disconnect()


async def test_asked_again_counts_as_asked(visitor: uuid.UUID, model: Model, settings: Settings) -> None:
    settings.LLM_BUDGETS = {"anonymous": Limits(2, None, None)}
    socket = await Socket(visitor).opened()
    _, turn = await _answered(socket, "Hello")
    await _answered(socket, "Hello", turn)
    assert await _refusal(socket, "Hello", turn) == "budget_exceeded"
    await socket.disconnect()


async def test_no_statement_is_sent_when_an_answer_is_asked_for_again(
    visitor: uuid.UUID, model: Model, statements: list[str]
) -> None:
    socket = await Socket(visitor).opened()
    _, turn = await _answered(socket, "Hello")
    await rows(1)
    statements.clear()
    await socket.send_json_to({"type": "ask", "text": "slow", "turn": turn})
    for _ in range(4):
        await socket.receive_json_from(timeout=5)
    assert statements == []
    await socket.until_end()
    await socket.disconnect()


def _store(visitor: uuid.UUID, count: int) -> None:
    for number in range(count):
        ChatMessage(
            visitor_id=visitor,
            question=f"question {number}",
            answer=f"**answer** {number}",
            status=Status.DONE,
            started_at="2026-01-01T00:00Z",
            total_ms=1,
        ).save()


async def test_the_history_is_read_in_pages_by_its_visitor_alone(visitor: uuid.UUID) -> None:
    count = 2 * transcript.PAGE + 3
    await database_sync_to_async(_store)(visitor, count)
    await database_sync_to_async(_store)(uuid.uuid4(), 3)
    client = AsyncClient()
    client.cookies[COOKIE] = make_cookie(visitor)
    found: list[str] = []
    address = "/api/ws-chat/history/"
    for size in (transcript.PAGE, transcript.PAGE, 3):
        response = await client.get(address)
        assert response.headers["Cache-Control"] == "no-store"
        page = protocol.History.model_validate(response.json())
        assert len(page.exchanges) == size
        found[:0] = [each.question for each in page.exchanges]
        address = f"/api/ws-chat/history/?before={page.next}"
    assert page.next is None
    assert found == [f"question {number}" for number in range(count)]
    assert page.exchanges[0].end.html == "<p><strong>answer</strong> 0</p>\n"
    bad = await client.get("/api/ws-chat/history/?before=x")
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_cursor")


async def test_two_turns_in_the_same_moment_keep_their_order(visitor: uuid.UUID, model: Model) -> None:
    socket = await Socket(visitor).opened()
    for number in range(5):
        await _answered(socket, f"question {number}")
    await rows(5)
    shown, _ = await database_sync_to_async(transcript.page)(visitor)
    assert [row.question for row in shown] == [f"question {number}" for number in range(5)]
    await socket.disconnect()
