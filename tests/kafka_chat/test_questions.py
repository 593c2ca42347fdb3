import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from kafka_chat import questions, topics
from kafka_chat.messages import Answer, Question
from kafka_chat.models import PLACEHOLDER, ChatMessage, OutboxEntry, Status
from llm.memory import Turn

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


def test_asking_stores_a_placeholder_and_one_outbox_entry() -> None:
    row = questions.ask(VISITOR, "why?")
    stored = _fresh(row)
    assert (stored.message, stored.response, stored.status) == ("why?", PLACEHOLDER, Status.QUEUED)
    entry = OutboxEntry.objects.get()
    assert entry.topic == topics.QUESTIONS
    assert bytes(entry.key) == VISITOR.bytes
    assert Question.decode(bytes(entry.value)).message == "why?"
    assert entry.headers["message_id"] == str(row.message_id)


def test_without_the_row_there_is_no_outbox_entry() -> None:
    row = questions.ask(VISITOR, "why?")
    duplicate = ChatMessage(message_id=row.message_id, session_id=VISITOR, message="again")
    with pytest.raises(IntegrityError), transaction.atomic():
        duplicate.save(force_insert=True)
    assert OutboxEntry.objects.count() == 1


def test_the_same_key_gives_the_same_question_back() -> None:
    first = questions.ask(VISITOR, "why?", idempotency_key="k")
    second = questions.ask(VISITOR, "why?", idempotency_key="k")
    assert second.message_id == first.message_id
    assert ChatMessage.objects.count() == OutboxEntry.objects.count() == 1


def test_another_visitor_may_use_the_same_key() -> None:
    first = questions.ask(VISITOR, "why?", idempotency_key="k")
    second = questions.ask(uuid.uuid4(), "why?", idempotency_key="k")
    assert second.message_id != first.message_id


def test_a_question_is_claimed_once() -> None:
    row = questions.ask(VISITOR, "why?")
    assert questions.claim(row.message_id)
    assert not questions.claim(row.message_id)
    claimed = _fresh(row)
    assert (claimed.status, claimed.attempts) == (Status.GENERATING, 1)
    assert claimed.picked_up_at is not None


def test_a_question_of_a_dead_worker_is_claimed_again_after_its_lease() -> None:
    row = questions.ask(VISITOR, "why?")
    questions.claim(row.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert questions.claim(row.message_id)
    assert _fresh(row).attempts == 2


def test_a_renewed_lease_lasts_longer() -> None:
    row = questions.ask(VISITOR, "why?")
    questions.claim(row.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    questions.renew_lease(row.message_id)
    assert not questions.claim(row.message_id)


def test_a_released_question_is_free_at_once() -> None:
    row = questions.ask(VISITOR, "why?")
    questions.claim(row.message_id)
    questions.release(row.message_id)
    assert questions.claim(row.message_id)


def test_claiming_a_question_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ChatMessage.DoesNotExist):
        questions.claim(uuid.uuid4())


def test_the_first_answer_is_stored_and_the_second_is_not() -> None:
    row = questions.ask(VISITOR, "why?")
    questions.claim(row.message_id)
    assert questions.record(_answer(row, response="first", provider="scripted", completion_tokens=1))
    assert not questions.record(_answer(row, response="second"))
    assert not questions.record(_answer(row, error="too late"))
    stored = _fresh(row)
    assert (stored.response, stored.status, stored.error) == ("first", Status.ANSWERED, "")
    assert stored.answered_at is not None and stored.lease_until is None


def test_a_failure_is_final_too() -> None:
    row = questions.ask(VISITOR, "why?")
    assert questions.record(_answer(row, error="No model can answer."))
    assert not questions.record(_answer(row, response="late"))
    assert not questions.claim(row.message_id)
    stored = _fresh(row)
    assert (stored.status, stored.error, stored.response) == (Status.FAILED, "No model can answer.", "")
    assert stored.answered_at is None


def test_an_answer_without_a_question_is_an_error() -> None:
    row = ChatMessage(session_id=VISITOR, message="never stored")
    with pytest.raises(ChatMessage.DoesNotExist):
        questions.record(_answer(row))


def test_the_sweep_leaves_what_is_in_good_hands() -> None:
    questions.claim(questions.ask(VISITOR, "being answered").message_id)
    questions.ask(VISITOR, "just asked")
    questions.record(_answer(questions.ask(VISITOR, "done")))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (0, 0)
    assert not OutboxEntry.objects.exists()


def test_the_sweep_sends_abandoned_questions_again_once() -> None:
    dead_worker = questions.ask(VISITOR, "claimed by a worker that died")
    questions.claim(dead_worker.message_id)
    ChatMessage.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    lost = questions.ask(uuid.uuid4(), "lost with the broker")
    ChatMessage.objects.filter(pk=lost.pk).update(created_at=timezone.now() - timedelta(minutes=2))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (2, 0)
    assert questions.sweep() == (0, 0)
    sent = {Question.decode(bytes(entry.value)).message_id for entry in OutboxEntry.objects.all()}
    assert sent == {dead_worker.message_id, lost.message_id}
    assert questions.claim(dead_worker.message_id)


def test_the_sweep_gives_up_what_failed_too_often() -> None:
    row, following = questions.ask(VISITOR, "kills every worker"), questions.ask(VISITOR, "and then?")
    questions.claim(row.message_id)
    long_ago = timezone.now() - timedelta(hours=1)
    ChatMessage.objects.filter(pk=row.pk).update(attempts=questions.MAX_ATTEMPTS, lease_until=long_ago)
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (0, 1)
    assert (_fresh(row).status, _fresh(row).error) == (Status.FAILED, questions.GIVEN_UP)
    assert _waiting_in_the_outbox() == [following.message_id]


def test_the_sweep_leaves_what_a_relay_will_send() -> None:
    row = questions.ask(VISITOR, "while the broker is away")
    ChatMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert questions.sweep() == (0, 0)
    OutboxEntry.objects.update(sent_at=timezone.now())
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [row.message_id]


def test_the_sweep_sends_only_each_visitor_s_next_question() -> None:
    rows = [questions.ask(VISITOR, str(number)) for number in range(3)]
    ChatMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [rows[0].message_id]


def test_a_question_is_not_claimed_before_the_visitor_s_earlier_ones_are_finished() -> None:
    first, second, third = (questions.ask(VISITOR, name) for name in ("first", "second", "third"))
    another = questions.ask(uuid.uuid4(), "another visitor's")
    assert not questions.claim(second.message_id)
    assert questions.claim(first.message_id)
    assert not questions.claim(second.message_id)
    questions.record(_answer(first))
    assert not questions.claim(third.message_id)
    assert questions.claim(second.message_id)
    questions.record(_answer(second, error="No model can answer."))
    assert questions.claim(third.message_id)
    assert questions.claim(another.message_id)


def test_the_end_of_a_question_sends_the_visitor_s_next_one_again() -> None:
    first, second, _ = (questions.ask(VISITOR, name) for name in ("first", "second", "third"))
    questions.ask(uuid.uuid4(), "another visitor's")
    OutboxEntry.objects.all().delete()
    questions.claim(first.message_id)
    assert not questions.claim(second.message_id)
    questions.record(_answer(first))
    assert _waiting_in_the_outbox() == [second.message_id]
    assert questions.claim(second.message_id)


def test_what_was_passed_over_and_not_sent_again_is_found_by_the_sweep() -> None:
    first, second = questions.ask(VISITOR, "first"), questions.ask(VISITOR, "second")
    questions.claim(first.message_id)
    assert not questions.claim(second.message_id)
    # As if the first one's end had not seen the second one.
    ChatMessage.objects.filter(pk=first.pk).update(status=Status.FAILED)
    OutboxEntry.objects.all().delete()
    assert questions.sweep() == (1, 0)
    assert _waiting_in_the_outbox() == [second.message_id]


def test_a_visitor_finds_only_their_own_questions() -> None:
    row = questions.ask(VISITOR, "mine")
    assert questions.find(VISITOR, row.message_id) is not None
    assert questions.find(uuid.uuid4(), row.message_id) is None
    assert questions.history(uuid.uuid4()) == []


def test_the_history_is_the_latest_in_the_order_of_asking() -> None:
    for number in range(5):
        questions.ask(VISITOR, str(number))
    assert [row.message for row in questions.history(VISITOR, limit=3)] == ["2", "3", "4"]


def test_the_turns_of_a_conversation_are_what_was_answered() -> None:
    first, _, failed, somebody_elses = (
        questions.ask(visitor, text)
        for visitor, text in ((VISITOR, "first"), (VISITOR, "open"), (VISITOR, "failed"), (uuid.uuid4(), "other"))
    )
    questions.record(_answer(first, response="one"))
    questions.record(_answer(failed, error="No model can answer."))
    questions.record(_answer(somebody_elses, response="two"))
    assert questions.turns(VISITOR) == [Turn(str(first.message_id), "first", "one")]


def test_the_turns_of_a_long_conversation_are_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_TURNS", 2)
    for text in ("first", "second", "third"):
        questions.record(_answer(questions.ask(VISITOR, text)))
    assert {turn.question for turn in questions.turns(VISITOR)} == {"second", "third"}
