import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from kafka_chat.messages import Answer
from kafka_chat.models import PLACEHOLDER, ChatMessage, OutboxEntry
from tests.kafka_chat.asking import record

# What a question waits for goes to PostgreSQL past Django's connection, and so past a test's transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def visitor() -> Client:
    """A browser that has been here before, so that it has its cookie."""
    client = Client()
    client.get("/api/chat/history/")
    return client


def _ask(client: Client, message: object = "What is an outbox?", **headers: str) -> Any:
    return client.post("/api/chat/", {"message": message}, content_type="application/json", headers=headers)


def _answer(message_id: str, **result: object) -> None:
    row = ChatMessage.objects.get(pk=message_id)
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    record(Answer.model_validate(ids | result))


def test_a_question_is_accepted_with_the_place_of_its_answer(visitor: Client) -> None:
    response = _ask(visitor)
    assert response.status_code == 202
    body = response.json()
    assert body["status"] == "queued"
    assert body["poll_url"] == f"/api/check-answer/?message_id={body['message_id']}"
    assert body["events_url"] == f"/api/chat/{body['message_id']}/events/"
    assert body["stop_url"] == f"/api/chat/{body['message_id']}/stop/"
    assert uuid.UUID(body["message_id"]).version == 7
    assert ChatMessage.objects.get().message == "What is an outbox?"


def test_an_open_question_says_when_to_look_again(visitor: Client) -> None:
    response = visitor.get(_ask(visitor).json()["poll_url"])
    assert response.status_code == 200
    assert response.headers["Retry-After"] == "1"
    assert "no-store" in response.headers["Cache-Control"]
    body = response.json()
    assert (body["status"], body["response"], body["html"]) == ("queued", PLACEHOLDER, "")


def test_an_answer_comes_as_text_and_as_safe_html(visitor: Client) -> None:
    asked = _ask(visitor).json()
    _answer(asked["message_id"], response="**bold** <script>alert(1)</script>", provider="scripted", model="script")
    response = visitor.get(asked["poll_url"])
    assert "Retry-After" not in response.headers
    body = response.json()
    assert body["status"] == "answered"
    assert body["html"] == "<p><strong>bold</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    assert (body["provider"], body["model"], body["fallback"]) == ("scripted", "script", False)
    assert body["timings"]["total_ms"] >= 0


def test_a_failure_comes_with_its_sentence(visitor: Client) -> None:
    asked = _ask(visitor).json()
    _answer(asked["message_id"], error="No model can answer right now.")
    body = visitor.get(asked["poll_url"]).json()
    assert (body["status"], body["error"], body["html"]) == ("failed", "No model can answer right now.", "")


def test_another_visitor_s_question_is_not_found(visitor: Client) -> None:
    asked = _ask(visitor).json()
    response = Client().get(asked["poll_url"])
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_message"


def test_the_history_is_one_s_own(visitor: Client) -> None:
    _ask(visitor, "first")
    _ask(visitor, "second")
    _ask(Client(), "somebody else's")
    messages = visitor.get("/api/chat/history/").json()["messages"]
    assert [message["message"] for message in messages] == ["first", "second"]


def test_the_history_is_paged_from_the_newest_on(visitor: Client) -> None:
    for number in range(5):
        _ask(visitor, f"question {number}")
        _ask(Client(), "somebody else's")
    pages, cursor = [], None
    while cursor or not pages:
        query = {"limit": "2"} | ({"before": cursor} if cursor else {})
        page = visitor.get("/api/chat/history/", query).json()
        pages.append([message["message"] for message in page["messages"]])
        cursor = page["next"]
    assert pages == [["question 3", "question 4"], ["question 1", "question 2"], ["question 0"]]


def test_a_page_that_is_exactly_full_is_the_last_one(visitor: Client) -> None:
    for number in range(2):
        _ask(visitor, f"question {number}")
    page = visitor.get("/api/chat/history/", {"limit": "2"}).json()
    assert (len(page["messages"]), page["next"]) == (2, None)


@pytest.mark.parametrize("query", [{"before": ""}, {"before": "7"}, {"limit": "0"}, {"limit": "101"}, {"limit": "all"}])
def test_a_page_must_be_one(visitor: Client, query: dict[str, str]) -> None:
    response = visitor.get("/api/chat/history/", query)
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {"invalid_cursor", "invalid_limit"}


def test_the_same_idempotency_key_gives_the_same_message_back(visitor: Client) -> None:
    first = _ask(visitor, **{"Idempotency-Key": "k1"}).json()
    second = _ask(visitor, **{"Idempotency-Key": "k1"}).json()
    assert first["message_id"] == second["message_id"]
    assert OutboxEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe", 400, "not_utf8"),
        (b'{"message": ""}', 400, "empty_message"),
        (b'{"message": "a\\u0000b"}', 400, "unreadable_characters"),
        (json.dumps({"message": "x" * 4001}).encode(), 400, "message_too_long"),
        (json.dumps({"message": "x" * 70_000}).encode(), 413, "request_too_large"),
    ],
)
def test_bad_input_stores_nothing_and_says_what_is_wrong(visitor: Client, body: bytes, status: int, code: str) -> None:
    response = visitor.post("/api/chat/", body, content_type="application/json")
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"].endswith(".")
    assert not ChatMessage.objects.exists()
    assert not OutboxEntry.objects.exists()


@pytest.mark.parametrize("message_id", ["", "7", "' OR 1=1 --"])
def test_a_message_id_must_be_a_uuid(visitor: Client, message_id: str) -> None:
    response = visitor.get("/api/check-answer/", {"message_id": message_id})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_message_id"


def test_without_a_csrf_token_nothing_is_accepted() -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/api/chat/history/")
    assert _ask(client).status_code == 403
    assert not ChatMessage.objects.exists()


@pytest.mark.parametrize("wait", ["-1", "26", "soon", "1e9", ""])
def test_a_wait_must_be_some_seconds(visitor: Client, wait: str) -> None:
    response = visitor.get(f"{_ask(visitor).json()['poll_url']}&wait={wait}")
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_wait"


@pytest.mark.parametrize(("method", "path"), [("get", "/api/chat/"), ("post", "/api/check-answer/")])
def test_another_method_is_refused(visitor: Client, method: str, path: str) -> None:
    assert getattr(visitor, method)(path).status_code == 405


def test_a_forged_visitor_cookie_is_a_new_visitor(visitor: Client) -> None:
    asked = _ask(visitor).json()
    thief = Client()
    thief.cookies["visitor"] = visitor.cookies["visitor"].value[:-3] + "AAA"
    assert thief.get(asked["poll_url"]).status_code == 404


def test_without_postgresql_a_question_is_refused_for_now(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _ask(visitor).json()
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        patched.setitem(connection.settings_dict, "PORT", "1")
        for response in (_ask(visitor), visitor.get(asked["poll_url"]), visitor.get(asked["poll_url"] + "&wait=20")):
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "10"
            assert response.json()["error"]["code"] == "database_away"
    assert [row.pk for row in ChatMessage.objects.all()] == [uuid.UUID(asked["message_id"])]
