"""What the model is told of the conversation, over sockets, processes and reloads."""

import asyncio
import uuid

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from pytest_django import Settings

from config import redis
from llm import conversations
from llm.types import Message
from tests.llm.attentive import Model
from tests.ws_chat.conftest import Socket
from ws_chat.generating import generations
from ws_chat.models import ChatMessage, Status

pytestmark = pytest.mark.django_db(transaction=True)


SCENES: list[dict[str, object]] = [
    {"contains": "Write the new notes", "answer": "The user's dog is called Bello."},
    {"contains": "long", "answer": "word " * 60},
    {"contains": "slow", "answer": "one two three four five", "token_ms": 100},
    {"contains": "cut", "answer": "half an", "error": "broken"},
    {"answer": "Fine."},
]


async def _ask(visitor: uuid.UUID, *questions: str) -> None:
    """Ask in a page of its own."""
    socket = await Socket(visitor).opened()
    for question in questions:
        await socket.ask(question)
        await socket.until_end()
    await socket.disconnect()


async def _another_process() -> None:
    """Let nothing be shared but Redis and the rows."""
    async with asyncio.timeout(10):
        # An end is shown before others are told of the turn.
        while generations()._runs:
            await asyncio.sleep(0.01)
    await conversations.aclose(10)


async def test_the_model_is_reminded_of_the_turns_before(visitor: uuid.UUID, model: Model) -> None:
    await _ask(visitor, "Hello", "And now?")
    assert model.requests[-1].messages[1:] == (
        Message("user", "Hello"),
        Message("assistant", "Fine."),
        Message("user", "And now?"),
    )


async def test_somebody_else_is_not(visitor: uuid.UUID, model: Model) -> None:
    await _ask(visitor, "Hello")
    await _ask(uuid.uuid4(), "And now?")
    assert model.told == ["And now?"]


async def test_a_reload_and_another_process_continue_the_conversation(visitor: uuid.UUID, model: Model) -> None:
    await _ask(visitor, "Hello")
    await _ask(visitor, "Again")
    await _another_process()
    await _ask(visitor, "And now?")
    assert model.told == ["Hello", "Fine.", "Again", "Fine.", "And now?"]


async def test_a_second_page_continues_the_conversation_and_the_first_one_knows(
    visitor: uuid.UUID, model: Model
) -> None:
    first = await Socket(visitor).opened()
    await _ask(visitor, "In the second page")
    assert (await first.receive_json_from())["question"] == "In the second page"
    await first.until_end()
    await first.ask("And now?")
    await first.until_end()
    assert model.told == ["In the second page", "Fine.", "And now?"]
    await first.disconnect()


async def test_a_conversation_that_redis_has_lost_is_loaded_from_the_rows(visitor: uuid.UUID, model: Model) -> None:
    await _ask(visitor, "Hello")
    await _another_process()
    await redis.client().delete(f"llm:memory:{{ws:{visitor}}}")
    await _ask(visitor, "And now?")
    assert model.told == ["Hello", "Fine.", "And now?"]


async def test_the_rows_that_count_are_those_with_an_answer_that_was_seen(visitor: uuid.UUID, model: Model) -> None:
    def store() -> None:
        for status in Status:
            for answer in ("", f"answer {status}"):
                ChatMessage(
                    visitor_id=visitor,
                    question=f"question {status}",
                    answer=answer,
                    status=status,
                    started_at=timezone.now(),
                    total_ms=1,
                ).save()

    await database_sync_to_async(store)()
    await _ask(visitor, "And now?")
    kept = (Status.DONE, Status.STOPPED, Status.INTERRUPTED)
    assert model.told == [f"{what} {status}" for status in kept for what in ("question", "answer")] + ["And now?"]


async def test_of_a_stopped_answer_what_was_seen_is_remembered(visitor: uuid.UUID, model: Model) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("slow please")
    for _ in range(3):
        await socket.receive_json_from(timeout=5)
    await socket.send_json_to({"type": "stop", "run": run, "seen": 2})
    await socket.until_end()
    await socket.ask("And now?")
    await socket.until_end()
    assert model.told == ["slow please", "one two ", "And now?"]
    await socket.disconnect()


async def test_an_answer_that_failed_is_not(visitor: uuid.UUID, model: Model) -> None:
    await _ask(visitor, "cut", "And now?")
    assert model.told == ["And now?"]


async def test_no_statement_is_sent_between_a_question_and_its_end(
    visitor: uuid.UUID, model: Model, statements: list[str]
) -> None:
    await _ask(visitor, "Hello")
    await _another_process()
    statements.clear()
    socket = await Socket(visitor).opened()
    await socket.ask("And now?")
    await socket.until_end()
    # Nor when the page was loaded: Redis had everything.
    assert [statement for statement in statements if not statement.startswith("INSERT")] == []
    await socket.disconnect()


async def test_a_long_conversation_keeps_within_the_budget_and_knows_its_beginning(
    visitor: uuid.UUID, model: Model, settings: Settings
) -> None:
    settings.LLM_MEMORY_TOKENS = 1000
    await _ask(visitor, "My dog is called Bello.", *["Tell me a long story"] * 5)
    await _another_process()
    (*_, notes) = (request for request in model.requests if "Write the new notes." in request.messages[-1].content)
    assert notes.temperature == 0
    await _ask(visitor, "What is my dog called?")
    told = model.told
    assert "The user's dog is called Bello." in told[0]
    assert "My dog is called Bello." not in told
    assert told[-1] == "What is my dog called?"


async def test_a_question_does_not_wait_for_notes(visitor: uuid.UUID, model: Model, settings: Settings) -> None:
    settings.LLM_MEMORY_TOKENS = 1000
    stream, asked = model.stream, asyncio.Event()

    def notes_take_for_ever(request):
        if "Write the new notes." in request.messages[-1].content:
            asked.set()
            model.may_answer.clear()
            return stream(request)
        model.may_answer.set()
        return stream(request)

    model.stream = notes_take_for_ever  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(20):
        await _ask(visitor, *["Tell me a long story"] * 6)
        await asked.wait()
        await _ask(visitor, "And now?")
    assert model.told[-1] == "And now?"
