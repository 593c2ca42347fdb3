"""Questions and the outbox, as operators see them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from kafka_chat import daily
from kafka_chat.models import ChatMessage, OutboxEntry, Status
from tests.operators import operator_of, steady_queries

pytestmark = pytest.mark.django_db

QUESTIONS = "/admin/kafka_chat/chatmessage/"


@pytest.fixture
def operator() -> Client:
    """Somebody who has every permission."""
    may = ("view", "add", "change", "delete")
    return operator_of("kafka_chat", *(f"{verb}_{model}" for verb in may for model in ("chatmessage", "outboxentry")))


def _ask(days_ago: int = 0, **fields: object) -> ChatMessage:
    """Store a question that was asked so many days ago: its id and its time say so."""
    asked = datetime.now(UTC) - timedelta(days=days_ago)
    message_id = uuid.UUID(int=int(asked.timestamp() * 1000) << 80 | uuid.uuid4().int & (1 << 76) - 1 | 7 << 76)
    row = ChatMessage.objects.create(
        **({"message_id": message_id, "session_id": uuid.uuid4(), "message": "hello"} | fields)
    )
    ChatMessage.objects.filter(pk=row.pk).update(created_at=asked)
    return row


def _answered(days_ago: int = 0, **fields: object) -> ChatMessage:
    return _ask(days_ago, status=Status.ANSWERED, answered_at=timezone.now(), **fields)


def _tables(client: Client, query: str = "") -> dict[str, list[tuple[str, ...]]]:
    summary = client.get(QUESTIONS + query).context["summary"]
    return {
        title: [(line.name, line.questions, line.answered, line.failed, *line.categories) for line in lines]
        for title, _, lines in summary["tables"]
    }


def test_questions_are_counted_for_each_day_and_language_by_category(operator: Client) -> None:
    _answered(category="coding", language="en")
    _answered(category="coding", language="de")
    _ask(status=Status.FAILED, category="other", language="en")
    _ask(1)
    _ask(31, category="maths", language="en")
    today = timezone.now().date()
    none = daily._NONE
    # coding, data, project, translation, writing, maths, greeting, knowledge, other
    tables = _tables(operator)
    assert tables["By day"] == [
        (str(today), "3", "2", "1", "2", *[none] * 7, "1"),
        (str(today - timedelta(days=1)), "1", "0", "0", *[none] * 9),
    ]
    assert set(tables["By language"]) == {
        ("en", "2", "1", "1", "1", *[none] * 7, "1"),
        ("de", "1", "1", "0", "1", *[none] * 8),
        ("not known", "1", "0", "0", *[none] * 9),
    }
    page = operator.get(QUESTIONS).content.decode()
    assert "Greetings and small talk" in page
    assert "Questions per day from" in page
    assert 'style="' not in page


def test_the_list_is_narrowed_by_category_language_day_and_who_sorted(operator: Client) -> None:
    _answered(category="coding", language="en", categorised_by="openai", provider="openai")
    _answered(1, category="maths", language="de", categorised_by="key words")
    _ask(3)
    _ask(40)
    yesterday = timezone.now().date() - timedelta(days=1)
    expected = {
        "": 4,
        "?category__exact=coding": 1,
        "?language=de": 1,
        "?language=": 2,
        "?categorised_by=key+words": 1,
        "?provider=openai": 1,
        "?day=today": 1,
        "?day=yesterday": 1,
        f"?day={yesterday}": 1,
        "?day=7": 3,
        "?day=30": 3,
        "?status__exact=answered&day=7": 2,
    }
    for query, count in expected.items():
        assert (query, operator.get(QUESTIONS + query).context["cl"].result_count) == (query, count)


def test_a_line_of_the_counts_leads_to_its_questions(operator: Client) -> None:
    _answered(category="coding", language="en")
    _ask(2)
    summary = operator.get(QUESTIONS).context["summary"]
    for _, _, lines in summary["tables"]:
        for line in lines:
            assert str(operator.get(QUESTIONS + line.link).context["cl"].result_count) == line.questions


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-31", "0001-01-01", "-1"])
def test_a_day_that_is_none_is_refused(operator: Client, day: str) -> None:
    assert operator.get(f"{QUESTIONS}?day={day}").status_code == 302


def test_a_day_in_the_far_future_breaks_nothing(operator: Client) -> None:
    assert operator.get(f"{QUESTIONS}?day=9999-12-31").status_code in (200, 302)


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(operator: Client) -> None:
    def make(day: int) -> None:
        _ask(day, category="coding", language=("en", "de")[day % 2])

    # Session, person and two for permissions; count and rows; four filters; two counts.
    assert steady_queries(operator, QUESTIONS, make, few=2, many=25) <= 12


def test_an_empty_list_has_no_counts(operator: Client) -> None:
    assert _tables(operator) == {"By day": [], "By language": []}
    assert operator.get(QUESTIONS).status_code == 200


def test_nobody_adds_changes_or_deletes_a_question(operator: Client) -> None:
    address = f"{QUESTIONS}{_ask(category='coding').pk}"
    assert "Coding" in operator.get(f"{address}/change/").content.decode()
    assert operator.post(f"{address}/change/", {"message": "x"}).status_code == 403
    assert operator.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(f"{QUESTIONS}add/").status_code == 403


def test_the_outbox_is_there_to_be_looked_at(operator: Client) -> None:
    OutboxEntry.objects.create(topic="chatbot-questions", key=b"k", value=b"{}")
    assert "chatbot-questions" in operator.get("/admin/kafka_chat/outboxentry/").content.decode()


def test_ratings_are_listed_and_filtered_by(operator: Client) -> None:
    for rating, comment in (("up", ""), ("down", "It is wrong."), ("", "")):
        _answered(message=f"question rated {rating or 'not at all'}", rating=rating, comment=comment)
    assert "It is wrong." in operator.get(QUESTIONS).content.decode()
    for query in ("rating__exact=down", "comment__isempty=0", "q=wrong"):
        found = operator.get(f"{QUESTIONS}?{query}").content.decode()
        assert ("question rated down" in found, "question rated up" in found) == (True, False), query


def test_a_question_is_found_by_its_ids_without_a_cast_and_by_its_words(operator: Client) -> None:
    wanted, _ = _ask(message="Why is the sky blue?"), _ask()
    for term in (str(wanted.message_id), f" {wanted.trace_id.hex} ", "sky"):
        with CaptureQueriesContext(connection) as queries:
            found = operator.get(QUESTIONS, {"q": term}).context["cl"]
        assert [row.pk for row in found.result_list] == [wanted.pk], term
        assert not any('_id"::text' in query["sql"] for query in queries), term
    assert operator.get(QUESTIONS, {"q": str(uuid.uuid4())}).context["cl"].result_count == 0


def test_failed_questions_are_listed_without_a_look_at_the_others() -> None:
    with connection.cursor() as cursor:
        # Of few rows PostgreSQL reads all.
        cursor.execute("SET LOCAL enable_seqscan = off")
        failed = ChatMessage.objects.filter(status=Status.FAILED).order_by("-message_id")[:50]
        assert "kf_failed" in failed.explain()
