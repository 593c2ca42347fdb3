"""The form of the about page, as browsers without JavaScript send it."""

import re
from html import unescape
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from kafka_chat import asking
from kafka_chat.models import ChatMessage
from llm.models import Profile
from ws_chat import transcript

# Questions go to PostgreSQL past Django's connection, and so past a test's transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def visitor() -> Client:
    """A browser that has the page open, and whose forms need their token."""
    client = Client(enforce_csrf_checks=True)
    client.get("/about/")
    return client


def _send(visitor: Client, message: str, page: str | None = None) -> Any:
    html = page or visitor.get("/about/").content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', html))
    return visitor.post("/about/", {**fields, "message": message})


def test_it_asks_and_leads_back_to_the_page_which_comes_again_until_there_is_an_answer(visitor: Client) -> None:
    assert 'http-equiv="refresh"' not in visitor.get("/about/").content.decode()
    response = _send(visitor, "What is an outbox?")
    assert (response.status_code, response.headers["Location"]) == (302, "/about/")
    html = visitor.get("/about/").content.decode()
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in html
    assert "What is an outbox?" in html
    assert "Processing…" in html


def test_sent_twice_it_asks_once_and_with_another_text_again(visitor: Client) -> None:
    page = visitor.get("/about/").content.decode()
    for message in ("why?", "why?", "how?"):
        assert _send(visitor, message, page).status_code == 302
    assert sorted(ChatMessage.objects.values_list("message", flat=True)) == ["how?", "why?"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [("  ", "The message is empty."), ("a" * 4001, "more than 4,000 characters"), ("a\x01</textarea>", "control")],
)
def test_a_refusal_is_said_and_costs_no_text(visitor: Client, message: str, sentence: str) -> None:
    response = _send(visitor, message)
    assert response.status_code == 400
    html = response.content.decode()
    refusal, draft = re.search(r'role="alert">([^<]+)</p>', html), re.search(r">\n([^<]*)</textarea>", html)
    assert refusal is not None and draft is not None
    assert sentence in refusal[1]
    assert unescape(draft[1]) == message
    assert not ChatMessage.objects.exists()


def test_it_needs_the_token_of_the_page(visitor: Client) -> None:
    response = visitor.post("/about/", {"message": "why?"})
    assert response.status_code == 403
    assert not ChatMessage.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_with_postgresql_away_the_page_says_so_and_keeps_the_text(
    visitor: Client, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> Any:
        raise OperationalError("connection refused")

    page = visitor.get("/about/").content.decode()
    for module, name in ((asking, "ask"), (transcript, "page"), (Profile, "current")):
        monkeypatch.setattr(module, name, away)
    response = _send(visitor, "why?", page) if method == "post" else visitor.get("/about/")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    html = response.content.decode()
    assert "The chat cannot store anything right now. Please try again in a few seconds.</p>" in html
    assert ("why?</textarea>" in html) == (method == "post")
