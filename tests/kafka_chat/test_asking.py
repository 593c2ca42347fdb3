"""What the web server asks PostgreSQL for every question, past Django's connection."""

import uuid
from unittest.mock import ANY

import pytest
from django.db import IntegrityError

from kafka_chat import asking, topics
from kafka_chat.messages import Question
from kafka_chat.models import PLACEHOLDER, ChatMessage, OutboxEntry, Status

pytestmark = pytest.mark.django_db(transaction=True)
VISITOR = uuid.uuid4()


async def test_asking_stores_a_placeholder_and_one_outbox_entry() -> None:
    row = await asking.ask(VISITOR, "why?")
    stored = await ChatMessage.objects.aget()
    assert (stored.pk, stored.message, stored.response) == (row.pk, "why?", PLACEHOLDER)
    assert stored.status == Status.QUEUED
    entry = await OutboxEntry.objects.aget()
    assert (entry.topic, bytes(entry.key), entry.sent_at) == (topics.QUESTIONS, VISITOR.bytes, None)
    assert Question.decode(bytes(entry.value)).message == "why?"
    assert entry.headers["message_id"] == str(row.message_id)


async def test_without_the_row_there_is_no_outbox_entry() -> None:
    row = await asking.ask(VISITOR, "why?")
    with pytest.raises(IntegrityError):
        await asking.ask(VISITOR, "again", message_id=row.message_id)
    assert await OutboxEntry.objects.acount() == 1


async def test_the_row_is_the_one_that_the_orm_stores_and_reads() -> None:
    row = await asking.ask(VISITOR, "why?")
    theirs = await ChatMessage.objects.acreate(session_id=VISITOR, message="why?")
    ours = await ChatMessage.objects.aget(pk=row.pk)
    names = {field.attname for field in ChatMessage._meta.fields}
    different = {name for name in names if getattr(ours, name) != getattr(theirs, name)}
    assert different == {"message_id", "trace_id", "created_at"}
    found = await asking.find(VISITOR, row.message_id)
    assert found is not None
    assert vars(found) | {"_state": ANY} == vars(ours) | {"_state": ANY}


async def test_the_same_key_gives_the_same_question_back_and_sends_nothing_again() -> None:
    first = await asking.ask(VISITOR, "why?", idempotency_key="k")
    second = await asking.ask(VISITOR, "why not?", idempotency_key="k")
    assert (second.message_id, second.message) == (first.message_id, "why?")
    assert await OutboxEntry.objects.acount() == 1
    assert (await asking.ask(uuid.uuid4(), "why?", idempotency_key="k")).message_id != first.message_id


async def test_a_visitor_finds_only_their_own_questions() -> None:
    row = await asking.ask(VISITOR, "mine", idempotency_key="k")
    another = uuid.uuid4()
    assert await asking.find(VISITOR, row.message_id) == row
    assert await asking.find_asked(VISITOR, "k") == row
    assert await asking.find(another, row.message_id) is None
    assert await asking.find_asked(another, "k") is None
    assert await asking.find_asked(VISITOR, None) is None
