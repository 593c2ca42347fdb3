"""The categorise role, with the scripted model."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import OperationalError, connections
from pytest_django import Settings

from config.env import BASE_DIR
from kafka_chat import categorising
from kafka_chat.categorising import KEY_WORDS, Categorising
from kafka_chat.messages import Question
from kafka_chat.models import OPEN, ChatMessage, Status
from llm.chain import Chain
from llm.providers.scripted import Scripted, load
from llm.types import Purpose
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import working

pytestmark = pytest.mark.django_db(transaction=True)

SCENES = load(BASE_DIR / "tests" / "scripted_answers.json")

ask = database_sync_to_async(ask_here)


class Delivered:
    """A Kafka message, as far as the role looks at it."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        """The bytes."""
        return self._value


async def _sort(row: ChatMessage, role: Categorising | None = None) -> ChatMessage:
    question = Question(
        message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, message=row.message
    )
    try:
        await (role or Categorising(asyncio.Event())).handle(Delivered(question.encode()))  # type: ignore[arg-type]
        return await ChatMessage.objects.aget(pk=row.pk)
    finally:
        await sync_to_async(connections.close_all)()


async def _until(row: ChatMessage, condition: Callable[[ChatMessage], bool]) -> ChatMessage:
    async with asyncio.timeout(30):
        while not condition(found := await ChatMessage.objects.aget(pk=row.pk)):
            await asyncio.sleep(0.02)
    return found


def _said(row: ChatMessage) -> tuple[str, str, str]:
    return row.categorised_by, row.category, row.language


async def test_a_model_s_word_is_stored_and_nothing_else_changes() -> None:
    row = await ask(uuid.uuid4(), "sort:french")
    found = await _sort(row)
    assert _said(found) == ("scripted", "coding", "fr")
    assert (found.status, found.attempts, found.response) == (row.status, 0, row.response)


@pytest.mark.parametrize("scene", ["nonsense", "no-category", "down"])
async def test_where_no_model_says_something_valid_key_words_decide(scene: str) -> None:
    found = await _sort(await ask(uuid.uuid4(), f"Wie schreibt man eine Funktion in Python? sort:{scene}"))
    assert _said(found) == (KEY_WORDS, "coding", "de")


async def test_a_language_that_is_none_is_guessed_and_the_category_kept() -> None:
    found = await _sort(await ask(uuid.uuid4(), "Wie viel ist das? sort:no-language"))
    assert _said(found) == ("scripted", "maths", "de")


async def test_a_model_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categorising, "MODEL_SECONDS", 0.05)
    found = await _sort(await ask(uuid.uuid4(), "Hello sort:slow"))
    assert found.categorised_by == KEY_WORDS


async def test_a_mistake_of_ours_leaves_the_question_to_key_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Purpose) -> Chain:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(categorising.registry, "chain", broken)
    assert (await _sort(await ask(uuid.uuid4(), "Hello"))).categorised_by == KEY_WORDS


async def test_postgresql_away_is_waited_for_by_who_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> bool:
        raise OperationalError("PostgreSQL is away")

    row = await ask(uuid.uuid4(), "sort:french")
    monkeypatch.setattr(categorising, "_is_due", away)
    monkeypatch.setattr(categorising, "_store", away)
    with pytest.raises(OperationalError):
        await _sort(row)


async def test_a_model_s_word_replaces_key_words_and_is_asked_for_once() -> None:
    row = await ask(uuid.uuid4(), "sort:nonsense")
    assert (await _sort(row)).categorised_by == KEY_WORDS
    row.message = "sort:french"
    assert _said(await _sort(row)) == ("scripted", "coding", "fr")
    row.message = "sort:no-language"
    assert _said(await _sort(row)) == ("scripted", "coding", "fr")


async def test_what_cannot_be_read_or_has_no_row_is_passed_over() -> None:
    role = Categorising(asyncio.Event())
    await role.handle(Delivered(b"\x00not json"))  # type: ignore[arg-type]
    nobody = ChatMessage(message_id=uuid.uuid4(), session_id=uuid.uuid4(), message="Hello")
    with pytest.raises(ChatMessage.DoesNotExist):
        await _sort(nobody, role)
    assert not await ChatMessage.objects.aexists()


class Local:
    """A local model that is scripted; counts how often it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings, name: str) -> None:
        self.asked = 0
        settings.LLM_CHAINS = {**settings.LLM_CHAINS, "categorise": ("local",)}
        settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(update={"llm_local_name": name})
        monkeypatch.setattr(categorising.registry, "chain", self._chain)

    def _chain(self, _: Purpose) -> Chain:
        self.asked += 1
        return Chain([Scripted(SCENES, name="local")], first_token_seconds=5, answer_seconds=5)


async def test_the_small_model_is_not_asked(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    local = Local(monkeypatch, settings, categorising.SMALL)
    assert (await _sort(await ask(uuid.uuid4(), "sort:french"))).categorised_by == KEY_WORDS
    assert local.asked == 0


async def test_a_local_model_is_asked_when_nobody_waits_for_an_answer(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    local = Local(monkeypatch, settings, "a better model")
    row = await ask(uuid.uuid4(), "sort:french")
    sorting = asyncio.create_task(_sort(row))
    await asyncio.sleep(0.3)
    assert (local.asked, sorting.done()) == (0, False)
    await ChatMessage.objects.filter(pk=row.pk).aupdate(status=Status.FAILED)
    assert _said(await sorting) == ("local", "coding", "fr")


async def test_a_local_model_that_never_rests_is_not_waited_for_again_and_again(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    local = Local(monkeypatch, settings, "a better model")
    monkeypatch.setattr(categorising, "QUIET_SECONDS", 0.2)
    role = Categorising(asyncio.Event())
    row = await ask(uuid.uuid4(), "sort:french")
    assert (await _sort(row, role)).categorised_by == KEY_WORDS
    # From now on it would sleep for ever, so the second one ends only without waiting.
    monkeypatch.setattr(categorising, "_LOOK_EVERY", 3600)
    async with asyncio.timeout(20):
        assert (await _sort(await ask(uuid.uuid4(), "sort:french"), role)).categorised_by == KEY_WORDS
    assert local.asked == 0
    await ChatMessage.objects.aupdate(status=Status.FAILED)
    assert (await _sort(row, role)).categorised_by == "local"


async def test_a_worker_that_is_stopped_does_not_wait_for_a_local_model_to_rest(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    Local(monkeypatch, settings, "a better model")
    stopping = asyncio.Event()
    row = await ask(uuid.uuid4(), "sort:french")
    sorting = asyncio.create_task(_sort(row, Categorising(stopping)))
    await asyncio.sleep(0.1)
    stopping.set()
    async with asyncio.timeout(20):
        assert (await sorting).categorised_by == KEY_WORDS


@pytest.mark.usefixtures("broker")
async def test_a_model_that_is_slow_to_sort_delays_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categorising, "MODEL_SECONDS", 6)
    async with working():
        rows = [await ask(uuid.uuid4(), f"Hello sort:slow {number}") for number in range(12)]
        answered = [await _until(row, lambda row: row.status not in OPEN) for row in rows]
        assert {row.status for row in answered} == {Status.ANSWERED}
        # Twelve of them, four at once, 6 s each: it has hardly begun.
        assert "" in {row.category for row in answered}
        await _until(rows[0], lambda row: row.category != "")


@pytest.mark.usefixtures("broker")
async def test_the_role_sorts_what_others_answer() -> None:
    row = await ask(uuid.uuid4(), "sort:french")
    async with working("relay", "categorise"):
        found = await _until(row, lambda row: row.category != "")
    assert (_said(found), found.status) == (("scripted", "coding", "fr"), Status.QUEUED)
