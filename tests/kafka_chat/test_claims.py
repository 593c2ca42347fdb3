"""Who holds a question."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from pytest_django import Settings

from kafka_chat import claims
from kafka_chat.claims import Claims
from kafka_chat.messages import Answer
from kafka_chat.models import ChatMessage, Status
from tests.kafka_chat.asking import ask_here, claim, record

pytestmark = pytest.mark.django_db(transaction=True)

VISITOR = uuid.uuid4()
ask = database_sync_to_async(ask_here)


def _end(row: ChatMessage, **result: object) -> None:
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    record(Answer.model_validate(ids | (result or {"response": "42"})))


def test_a_question_is_claimed_once() -> None:
    row = ask_here(VISITOR, "why?")
    assert claim(row.message_id)
    assert not claim(row.message_id)
    claimed = ChatMessage.objects.get(pk=row.pk)
    assert (claimed.status, claimed.attempts) == (Status.GENERATING, 1)
    assert claimed.picked_up_at is not None


def test_a_question_of_a_dead_worker_is_claimed_again_after_its_lease() -> None:
    row = ask_here(VISITOR, "why?")
    claim(row.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert claim(row.message_id)
    assert ChatMessage.objects.get(pk=row.pk).attempts == 2


def test_a_renewed_lease_lasts_longer() -> None:
    row = ask_here(VISITOR, "why?")
    claim(row.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.renew([row.message_id]).execute_here()
    assert not claim(row.message_id)


def test_a_released_question_is_free_at_once() -> None:
    row = ask_here(VISITOR, "why?")
    claim(row.message_id)
    claims.release([row.message_id]).execute_here()
    assert claim(row.message_id)


def test_a_question_is_not_claimed_before_the_visitor_s_earlier_ones_are_finished() -> None:
    first, second, third = (ask_here(VISITOR, name) for name in ("first", "second", "third"))
    another = ask_here(uuid.uuid4(), "another visitor's")
    assert not claim(second.message_id)
    assert claim(first.message_id)
    assert not claim(second.message_id)
    _end(first)
    assert not claim(third.message_id)
    assert claim(second.message_id)
    _end(second, error="No model can answer.")
    assert claim(third.message_id)
    assert claim(another.message_id)


def test_of_one_visitor_s_questions_only_the_first_is_claimed_with_others() -> None:
    rows = [ask_here(visitor, "why?") for visitor in (VISITOR, VISITOR, uuid.uuid4())]
    claimed = claims.claim([row.message_id for row in reversed(rows)]).execute_here()
    assert set(claimed) == {rows[0].message_id, rows[2].message_id}


@pytest.fixture
async def held() -> AsyncIterator[Claims]:
    """The claims of a worker."""
    held = Claims()
    yield held
    await held.aclose()


async def test_claims_that_are_wanted_together_say_each_for_itself(held: Claims) -> None:
    first, second = await ask(VISITOR, "first"), await ask(VISITOR, "second")
    wanted = (first.message_id, second.message_id, first.message_id, uuid.uuid4())
    taken = await asyncio.gather(*map(held.take, wanted), return_exceptions=True)
    assert taken[0] is not None and taken[1] is None and taken[2] is None
    assert isinstance(taken[3], ChatMessage.DoesNotExist)
    # The message of the second one has been read.
    assert (await ChatMessage.objects.aget(pk=second.pk)).lease_until is not None


async def test_a_claim_says_whether_its_visitor_has_answers(held: Claims) -> None:
    first = await ask(VISITOR, "first")
    claimed = await held.take(first.message_id)
    assert claimed is not None and not claimed.remembers
    await database_sync_to_async(_end)(first)
    claimed = await held.take((await ask(VISITOR, "second")).message_id)
    assert claimed is not None and claimed.remembers


async def test_a_claim_is_renewed_as_long_as_it_is_held(held: Claims, settings: Settings) -> None:
    settings.KAFKA_LEASE_SECONDS = 1
    kept, let_go = await ask(uuid.uuid4(), "kept"), await ask(uuid.uuid4(), "let go")
    await asyncio.gather(held.take(kept.message_id), held.take(let_go.message_id))
    held.let_go(let_go.message_id)
    first = (await ChatMessage.objects.aget(pk=kept.pk)).lease_until
    async with asyncio.timeout(20):
        while (await ChatMessage.objects.aget(pk=kept.pk)).lease_until == first:
            await asyncio.sleep(0.05)
    assert (await ChatMessage.objects.aget(pk=let_go.pk)).lease_until < timezone.now() + timedelta(seconds=1)
    await held.give_back(kept.message_id)
    assert (await ChatMessage.objects.aget(pk=kept.pk)).status == Status.QUEUED
