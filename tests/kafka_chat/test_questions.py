import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from kafka_chat import questions
from kafka_chat.messages import Answer, Question
from kafka_chat.models import ChatMessage, OutboxEntry, Status
from llm.memory import Turn
from tests.kafka_chat.asking import ask_here, claim, record

pytestmark = pytest.mark.django_db

VISITOR = uuid.uuid4()


def _answer(row: ChatMessage, **result: object) -> Answer:
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    return Answer.model_validate(ids | (result or {"response": "42"}))


def _waiting_in_the_outbox() -> list[uuid.UUID]:
    entries = OutboxEntry.objects.filter(sent_at=None).order_by("id")
    return [Question.decode(bytes(entry.value)).message_id for entry in entries]


def _fresh(row: ChatMessage) -> ChatMessage:
    return ChatMessage.objects.get(pk=row.pk)


def test_the_sweep_leaves_what_is_in_good_hands() -> None:
    claim(ask_here(VISITOR, "being answered").message_id)
    ask_here(VISITOR, "just asked")
    record(_answer(ask_here(VISITOR, "done")))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (0, 0)
    assert not OutboxEntry.objects.exists()


def test_the_sweep_sends_abandoned_questions_again_once() -> None:
    dead_worker = ask_here(VISITOR, "claimed by a worker that died")
    claim(dead_worker.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    lost = ask_here(uuid.uuid4(), "lost with the broker")
    ChatMessage.objects.filter(pk=lost.pk).update(created_at=timezone.now() - timedelta(minutes=2))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (2, 0)
    assert questions.sweep() == (0, 0)
    sent = {Question.decode(bytes(entry.value)).message_id for entry in OutboxEntry.objects.all()}
    assert sent == {dead_worker.message_id, lost.message_id}
    assert claim(dead_worker.message_id)


def test_the_sweep_gives_up_what_failed_too_often() -> None:
    row, following = ask_here(VISITOR, "kills every worker"), ask_here(VISITOR, "and then?")
    claim(row.message_id)
    long_ago = timezone.now() - timedelta(hours=1)
    ChatMessage.objects.filter(pk=row.pk).update(attempts=questions.MAX_ATTEMPTS, lease_until=long_ago)
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (0, 1)
    assert (_fresh(row).status, _fresh(row).error) == (Status.FAILED, questions.GIVEN_UP)
    assert _waiting_in_the_outbox() == [following.message_id]


def test_the_sweep_leaves_what_a_relay_will_send() -> None:
    row = ask_here(VISITOR, "while the broker is away")
    ChatMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert questions.sweep() == (0, 0)
    OutboxEntry.objects.update(sent_at=timezone.now())
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [row.message_id]


def test_the_sweep_sends_only_each_visitor_s_next_question() -> None:
    rows = [ask_here(VISITOR, str(number)) for number in range(3)]
    ChatMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [rows[0].message_id]


def test_what_was_passed_over_and_not_sent_again_is_found_by_the_sweep() -> None:
    first, second = ask_here(VISITOR, "first"), ask_here(VISITOR, "second")
    claim(first.message_id)
    assert not claim(second.message_id)
    # As if the first one's end had not seen the second one.
    ChatMessage.objects.filter(pk=first.pk).update(status=Status.FAILED)
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [second.message_id]


def test_a_visitor_has_only_their_own_history() -> None:
    ask_here(VISITOR, "mine")
    assert questions.history(uuid.uuid4()) == []


def test_the_history_is_the_latest_in_the_order_of_asking() -> None:
    for number in range(5):
        ask_here(VISITOR, str(number))
    assert [row.message for row in questions.history(VISITOR, limit=3)] == ["2", "3", "4"]


def test_the_turns_of_a_conversation_are_what_was_answered() -> None:
    first, _, failed, somebody_elses = (
        ask_here(visitor, text)
        for visitor, text in ((VISITOR, "first"), (VISITOR, "open"), (VISITOR, "failed"), (uuid.uuid4(), "other"))
    )
    record(_answer(first, response="one"))
    record(_answer(failed, error="No model can answer."))
    record(_answer(somebody_elses, response="two"))
    assert questions.turns(VISITOR) == [Turn(str(first.message_id), "first", "one")]


def test_the_turns_of_a_long_conversation_are_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_TURNS", 2)
    for text in ("first", "second", "third"):
        record(_answer(ask_here(VISITOR, text)))
    assert {turn.question for turn in questions.turns(VISITOR)} == {"second", "third"}
