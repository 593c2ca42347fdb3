"""Asking failed questions again from the admin."""

import uuid
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from config.embedded.ports import any_free
from kafka_chat import asking_again
from kafka_chat.models import PLACEHOLDER, ChatMessage, OutboxEntry, Status
from tests.operators import operator_of

pytestmark = pytest.mark.django_db

QUESTIONS = "/admin/kafka_chat/chatmessage/"


@pytest.fixture
def operator() -> Client:
    """Somebody who may ask again."""
    return operator_of("kafka_chat", "view_chatmessage", "change_chatmessage")


def _failed(message: str = "why?") -> ChatMessage:
    return ChatMessage.objects.create(
        session_id=uuid.uuid4(), message=message, response="", status=Status.FAILED, error="It failed.", attempts=5
    )


def _choose(client: Client, *rows: ChatMessage, **more: str) -> Any:
    return client.post(
        QUESTIONS, {"action": "ask_again", "_selected_action": [str(row.pk) for row in rows]} | more, follow=True
    )


def test_first_it_is_shown_what_would_happen_and_nothing_does(operator: Client) -> None:
    failed, queued = _failed(), ChatMessage.objects.create(session_id=uuid.uuid4(), message="still open")
    page = _choose(operator, failed, queued).content.decode()
    assert "<strong>1 failed question</strong> will be asked again" in page
    assert "includes 1 of the chosen questions, which has not failed" in page
    assert "It failed." in page
    failed.refresh_from_db()
    assert failed.status == Status.FAILED
    assert not OutboxEntry.objects.exists()


def test_after_a_yes_they_wait_for_a_worker_again_and_the_log_says_so(operator: Client) -> None:
    rows = [_failed(), _failed()]
    response = _choose(operator, *rows, confirmed="yes")
    assert "2 questions were asked again." in response.content.decode()
    for row in rows:
        row.refresh_from_db()
        assert (row.status, row.response, row.error, row.attempts) == (Status.QUEUED, PLACEHOLDER, "", 0)
    assert {entry.headers["message_id"] for entry in OutboxEntry.objects.all()} == {str(row.pk) for row in rows}
    assert {entry.change_message for entry in LogEntry.objects.all()} == {"Asked again."}
    # Who says yes a second time asks nothing a second time.
    assert "None of the chosen questions has failed" in _choose(operator, *rows, confirmed="yes").content.decode()
    assert OutboxEntry.objects.count() == 2


def test_a_failed_question_has_a_button_and_another_has_none(operator: Client) -> None:
    assert "Ask again" in operator.get(f"{QUESTIONS}{_failed().pk}/change/").content.decode()
    queued = ChatMessage.objects.create(session_id=uuid.uuid4(), message="still open")
    assert "Ask again" not in operator.get(f"{QUESTIONS}{queued.pk}/change/").content.decode()


def test_who_may_only_look_asks_nothing_again() -> None:
    viewer, row = operator_of("kafka_chat", "view_chatmessage"), _failed()
    assert "Ask again" not in viewer.get(f"{QUESTIONS}{row.pk}/change/").content.decode()
    _choose(viewer, row, confirmed="yes")
    row.refresh_from_db()
    assert row.status == Status.FAILED


def test_more_than_one_page_can_bear_are_for_the_command(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_again, "MOST", 1)
    assert "kafka_replay --failed" in _choose(operator, _failed(), _failed(), confirmed="yes").content.decode()
    assert not OutboxEntry.objects.exists()


def test_without_redis_nothing_is_asked_again_and_that_is_said(operator: Client, settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
    row = _failed()
    response = _choose(operator, row, confirmed="yes")
    assert "Redis cannot be reached" in response.content.decode()
    row.refresh_from_db()
    assert row.status == Status.FAILED
