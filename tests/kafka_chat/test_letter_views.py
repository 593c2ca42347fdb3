"""The operators' page of dead letters."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from pytest_django import Settings

from config.embedded.ports import any_free
from config.observability import looking
from kafka_chat import letter_views, topics
from kafka_chat.clients import Publisher
from kafka_chat.letter_views import Glance, readable
from tests.operators import operator_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("operators_page")]

PAGE = "/admin/operations/dead-letters/"


async def _bury(count: int, value: bytes, **headers: str) -> None:
    async with Publisher() as publisher:
        for number in range(count):
            await publisher.send(
                topics.DEAD_LETTERS,
                key=f"visitor {number}".encode(),
                value=value,
                headers={
                    "dead_topic": topics.QUESTIONS,
                    "dead_partition": "3",
                    "dead_offset": str(number),
                    "dead_error": "UnreadableMessage: <b>no JSON</b>",
                    **headers,
                },
            )


async def _page() -> tuple[str, list[Glance] | None]:
    def get() -> tuple[str, list[Glance] | None]:
        response = operator_of("kafka_chat", "view_chatmessage").get(PAGE)
        return response.content.decode(), response.context["letters"]

    return await sync_to_async(get)()


@pytest.mark.usefixtures("broker")
async def test_the_newest_are_shown_bounded_and_without_what_a_page_cannot_bear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(letter_views, "_SECONDS", 20.0)
    monkeypatch.setattr(letter_views, "MOST", 3)
    await asyncio.to_thread(topics.ensure)
    question = uuid.uuid4()
    await _bury(2, b"old")
    await asyncio.sleep(0.01)
    await _bury(3, b"\x00\xff\xe2\x80\xae<script>" + b"x" * letter_views.PREVIEW, message_id=str(question))
    page, letters = await _page()
    assert letters is not None
    assert len(letters) == 3
    newest = letters[0]
    assert newest.origin.startswith("chatbot-questions 3:")
    assert newest.key.startswith("visitor ")
    assert (newest.size, newest.is_cut, newest.question) == (letter_views.PREVIEW + 13, True, question)
    assert newest.preview.startswith("\\x00\\xff\\u202e<script>")
    assert "&lt;b&gt;no JSON&lt;/b&gt;" in page
    assert "<script>x" not in page
    assert f"/admin/kafka_chat/chatmessage/{question}/change/" in page


@pytest.mark.usefixtures("broker")
async def test_a_broker_without_the_topic_has_none() -> None:
    page, letters = await _page()
    assert letters == []
    assert "There are no dead letters." in page


async def test_a_broker_that_is_away_is_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{any_free()}"
    monkeypatch.setattr(looking, "PATIENCE", 0.3)
    page, letters = await _page()
    assert letters is None
    assert "The broker does not answer" in page


@pytest.mark.django_db
def test_letters_are_for_those_who_may_see_questions(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    assert operator_of("llm", "view_call").get(PAGE).status_code == 403


def test_what_cannot_be_seen_is_written_as_an_escape() -> None:
    assert readable(b"a\x07\n\xffb", 10) == "a\\x07\n\\xffb"
    assert readable("\N{RIGHT-TO-LEFT OVERRIDE}grüß\U0001f600", 10) == "\\u202egrüß\U0001f600"
    assert readable(None, 10) == ""
    assert readable(b"\xc3\xbc" * 10, 3) == "ü\\xc3"
