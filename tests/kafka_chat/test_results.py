"""What came of questions."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from channels.db import database_sync_to_async

from kafka_chat.messages import Answer, Question
from kafka_chat.models import ChatMessage, OutboxEntry, Status
from kafka_chat.results import Results, Stored
from tests.kafka_chat.asking import ask_here, claim, record

pytestmark = pytest.mark.django_db(transaction=True)

VISITOR = uuid.uuid4()
ask = database_sync_to_async(ask_here)


def _answer(row: ChatMessage, **result: object) -> Answer:
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    return Answer.model_validate(ids | (result or {"response": "42"}))


def _waiting_in_the_outbox() -> list[uuid.UUID]:
    entries = OutboxEntry.objects.filter(sent_at=None).order_by("id")
    return [Question.decode(bytes(entry.value)).message_id for entry in entries]


def test_the_first_answer_is_stored_and_the_second_is_not() -> None:
    row = ask_here(VISITOR, "why?")
    claim(row.message_id)
    assert record(_answer(row, response="first", provider="scripted", completion_tokens=1))
    assert not record(_answer(row, response="second"))
    assert not record(_answer(row, error="too late"))
    stored = ChatMessage.objects.get(pk=row.pk)
    assert (stored.response, stored.status, stored.error) == ("first", Status.ANSWERED, "")
    assert stored.answered_at is not None and stored.lease_until is None


def test_a_failure_is_final_too() -> None:
    row = ask_here(VISITOR, "why?")
    assert record(_answer(row, error="No model can answer."))
    assert not record(_answer(row, response="late"))
    assert not claim(row.message_id)
    stored = ChatMessage.objects.get(pk=row.pk)
    assert (stored.status, stored.error, stored.response) == (Status.FAILED, "No model can answer.", "")
    assert stored.answered_at is None


def test_the_end_of_a_question_sends_the_visitor_s_next_one_again() -> None:
    first, second, _ = (ask_here(VISITOR, name) for name in ("first", "second", "third"))
    ask_here(uuid.uuid4(), "another visitor's")
    OutboxEntry.objects.all().delete()
    claim(first.message_id)
    assert not claim(second.message_id)
    record(_answer(first))
    assert _waiting_in_the_outbox() == [second.message_id]
    assert claim(second.message_id)


@pytest.fixture
async def results() -> AsyncIterator[Results]:
    """Where a worker stores results."""
    results = Results()
    yield results
    await results.aclose()


async def test_results_that_are_stored_together_say_each_for_itself(results: Results) -> None:
    first, second = await ask(VISITOR, "first"), await ask(uuid.uuid4(), "second")
    answers = [_answer(first, response="1", provider="scripted"), _answer(first, response="2"), _answer(second)]
    answers.append(Answer.model_validate(dict.fromkeys(("message_id", "session_id", "trace_id"), uuid.uuid4())))
    stored = await asyncio.gather(*map(results.store, answers))
    assert [None if one is None else one.row.message_id for one in stored] == [
        first.message_id,
        None,
        second.message_id,
        None,
    ]
    assert isinstance(stored[0], Stored) and not stored[0].asked_more
    row = await ChatMessage.objects.aget(pk=first.pk)
    assert (row.response, row.provider, row.status, row.fallback) == ("1", "scripted", Status.ANSWERED, False)
    assert vars(stored[0].row).items() >= {(k, v) for k, v in vars(row).items() if k != "_state"}


async def test_a_result_that_cannot_be_stored_costs_no_other(results: Results) -> None:
    rows = [await ask(uuid.uuid4(), "why?") for _ in range(3)]
    answers = [_answer(rows[0]), _answer(rows[1], response="\x00"), _answer(rows[2])]
    stored = await asyncio.gather(*map(results.store, answers), return_exceptions=True)
    assert isinstance(stored[0], Stored) and isinstance(stored[1], Exception) and isinstance(stored[2], Stored)


async def test_who_has_asked_more_is_said_with_the_result(results: Results) -> None:
    first = await ask(VISITOR, "first")
    await ask(VISITOR, "second")
    stored = await results.store(_answer(first))
    assert stored is not None and stored.asked_more
