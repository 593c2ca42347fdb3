"""What the model is told of the conversation, through the whole pipeline."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from pytest_django import Settings

from config import redis
from kafka_chat import questions
from kafka_chat.models import OPEN, ChatMessage, Status
from kafka_chat.worker import Role
from llm import conversations, registry
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import working
from tests.llm.attentive import Model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

ask = database_sync_to_async(ask_here)

# Those that answer: who sorts questions asks the model, too.
ROLES: tuple[Role, ...] = ("relay", "answer", "persist")


@pytest.fixture(autouse=True)
async def fresh() -> AsyncIterator[None]:
    yield
    await conversations.aclose(0)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model of every chain."""
    model = Model(
        {"contains": "Write the new notes", "answer": "The user's dog is called Bello."},
        {"contains": "long", "answer": "word " * 60},
        {"contains": "cut", "answer": "half an", "error": "broken"},
        {"answer": "Fine."},
    )
    monkeypatch.setattr(registry, "build", lambda *_: model)
    return model


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The visitors whose conversations were loaded from rows."""
    loaded: list[uuid.UUID] = []
    turns = questions.turns

    def noting(session_id: uuid.UUID) -> object:
        loaded.append(session_id)
        return turns(session_id)

    monkeypatch.setattr(questions, "turns", noting)
    return loaded


async def _ask(visitor: uuid.UUID, *texts: str) -> ChatMessage:
    """Ask and wait for the answers; return the last row."""
    for text in texts:
        row = await ask(visitor, text)
        async with asyncio.timeout(30):
            while (row := await ChatMessage.objects.aget(pk=row.pk)).status in OPEN:
                await asyncio.sleep(0.02)
    return row


def _told(model: Model) -> list[str]:
    """What the model was told last, without the persona."""
    return [message.content for message in model.requests[-1].messages[1:]]


async def test_the_conversation_goes_on_in_another_worker_and_costs_no_read(model: Model, loads: list[object]) -> None:
    visitor = uuid.uuid4()
    async with working(*ROLES):
        await _ask(visitor, "Hello")
    async with working(*ROLES):
        await _ask(uuid.uuid4(), "somebody else")
        await _ask(visitor, "And now?")
    assert _told(model) == ["Hello", "Fine.", "And now?"]
    assert visitor not in loads


async def test_what_redis_has_lost_is_loaded_from_the_rows(model: Model, loads: list[object]) -> None:
    visitor = uuid.uuid4()
    async with working(*ROLES):
        await _ask(visitor, "Hello", "Again")
        await redis.client().delete(f"llm:memory:{{kafka:{visitor}}}")
        await _ask(visitor, "And now?")
    assert _told(model) == ["Hello", "Fine.", "Again", "Fine.", "And now?"]
    assert loads.count(visitor) == 1


async def test_an_answer_that_failed_is_not_remembered(model: Model) -> None:
    visitor = uuid.uuid4()
    async with working(*ROLES):
        assert (await _ask(visitor, "cut")).status == Status.FAILED
        await _ask(visitor, "And now?")
    assert _told(model) == ["And now?"]


async def test_a_question_that_is_answered_twice_is_one_turn(model: Model) -> None:
    visitor = uuid.uuid4()
    async with working("relay", "answer"):
        row = await ask(visitor, "Hello")
        async with asyncio.timeout(30):
            while not model.requests:
                await asyncio.sleep(0.02)
    # Nobody has stored the answer; the message is delivered again.
    await ChatMessage.objects.filter(pk=row.pk).aupdate(status=Status.QUEUED, lease_until=timezone.now())
    async with working("relay", "answer"):
        async with asyncio.timeout(30):
            while len(model.requests) < 2:
                await asyncio.sleep(0.02)
    assert _told(model) == ["Hello"]
    async with working(*ROLES):
        await _ask(visitor, "And now?")
    assert _told(model) == ["Hello", "Fine.", "And now?"]


async def test_a_long_conversation_keeps_within_the_budget_and_knows_its_beginning(
    model: Model, settings: Settings
) -> None:
    settings.LLM_MEMORY_TOKENS = 1000
    visitor = uuid.uuid4()
    async with working(*ROLES):
        await _ask(visitor, "My dog is called Bello.", *["Tell me a long story"] * 5)
    # A worker that is stopped gives its notes the time to be finished.
    async with working(*ROLES):
        await _ask(visitor, "What is my dog called?")
    told = _told(model)
    assert "The user's dog is called Bello." in told[0]
    assert "My dog is called Bello." not in told
    assert told[-1] == "What is my dog called?"
