"""The page by which visitors take along what is kept of their chats, or have it deleted."""

import json
import uuid
from typing import Any

import pytest
from django.test import AsyncClient
from django.utils import timezone

from config.visitors import COOKIE, make_cookie
from kafka_chat import own_data as kafka_data
from kafka_chat.models import OPEN, ChatMessage, OutboxEntry, Status
from llm import conversations, runs
from llm.conversations import Conversation
from llm.memory import Turn
from llm.timelines.models import Timeline
from tests.kafka_chat.asking import ask, begin, store
from tests.kafka_chat.conftest import run_log
from tests.llm.timelines.conftest import timeline
from ws_chat.models import ChatMessage as Run

__all__ = ["run_log"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]

WORDS = "a word about herons"


@pytest.fixture
async def visitor() -> uuid.UUID:
    """A visitor's id."""
    return uuid.uuid4()


def _browser(visitor: uuid.UUID, **options: Any) -> AsyncClient:
    client = AsyncClient(**options)
    client.cookies[COOKIE] = make_cookie(visitor)
    return client


async def _run(visitor: uuid.UUID, question: str = WORDS) -> Run:
    return await Run.objects.acreate(
        visitor_id=visitor, question=question, answer=WORDS, status="done", started_at=timezone.now(), total_ms=1
    )


async def _erase(client: AsyncClient, **form: str) -> Any:
    return await client.post("/your-data/erase/", form or {"sure": "yes"})


async def _remembered(name: str) -> Conversation:
    async def load() -> list[Turn]:
        return []

    return Conversation(name, load)


async def test_the_download_is_one_document_with_all_rows_of_this_visitor_and_no_others(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.own_data_views._AT_ONCE", 2)
    client, other = _browser(visitor), _browser(uuid.uuid4())
    asked = [await ask(client, f"question {number}") for number in range(3)]
    await ask(other, "somebody else's")
    run = await _run(visitor)
    await timeline(visitor_id=visitor, trace_id=run.pk).asave()
    response = await client.get("/your-data/conversations.json")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="conversations-')
    found = json.loads(b"".join([part async for part in response.streaming_content]))
    assert [row["message"] for row in found["kafka_chat"]] == ["question 0", "question 1", "question 2"]
    assert [row["message_id"] for row in found["kafka_chat"]] == [each["message_id"] for each in asked]
    assert [(row["run_id"], row["question"]) for row in found["websocket_chat"]] == [(str(run.pk), WORDS)]
    assert [row["trace_id"] for row in found["timelines"]] == [str(run.pk)]
    assert found["visitor_id"] == str(visitor)
    assert found["notes"] == {"kafka_chat": "", "websocket_chat": ""}


async def test_rows_outbox_memory_and_run_log_are_gone_and_another_visitor_s_are_not(visitor: uuid.UUID) -> None:
    client, stranger = _browser(visitor), uuid.uuid4()
    other = _browser(stranger)
    asked = await ask(client, WORDS)
    await begin(asked)
    await store(asked, response=WORDS)
    await _run(visitor)
    theirs = await ask(other, WORDS)
    their_run = await _run(stranger)
    for who in (visitor, stranger):
        await timeline(visitor_id=who).asave()
    for who in (visitor, stranger):
        talk = await _remembered(kafka_data.name_of(who))
        talk.add(Turn("1", WORDS, WORDS))
        await talk.save()
    page = (await client.get("/your-data/")).content.decode()
    assert page.count("<strong>1</strong>") == 2
    assert (await _erase(client)).status_code == 302
    assert [row.pk async for row in ChatMessage.objects.all()] == [uuid.UUID(theirs["message_id"])]
    assert [bytes(entry.key) async for entry in OutboxEntry.objects.all()] == [stranger.bytes]
    assert [row.pk async for row in Run.objects.all()] == [their_run.pk]
    assert [row.visitor_id async for row in Timeline.objects.all()] == [stranger]
    assert (await runs.log().snapshot(uuid.UUID(asked["message_id"]))).text == ""
    assert await runs.log().info(uuid.UUID(asked["message_id"])) is None
    remembered = []
    for who in (visitor, stranger):
        talk = await _remembered(kafka_data.name_of(who))
        await talk.refresh()
        remembered.append([turn.question for turn in talk.memory.turns])
    assert remembered == [[], [WORDS]]
    assert "Deleted: 2 questions" in (await client.get("/your-data/")).content.decode()


async def test_an_answer_that_is_being_written_is_stopped_and_comes_to_nothing(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_data, "PATIENCE", 0.2)
    client = _browser(visitor)
    asked, waiting = await ask(client, WORDS), await ask(client, WORDS)
    writer = await begin(asked)
    writer.write("a piece")
    await _erase(client)
    assert writer.stopped
    # Its worker, and the message that is in Kafka already, find rows that need nothing.
    rows = [row async for row in ChatMessage.objects.order_by("message_id")]
    assert [str(row.pk) for row in rows] == [asked["message_id"], waiting["message_id"]]
    for row in rows:
        assert (row.message, row.response, row.status) == ("", "", Status.STOPPED)
        assert row.session_id != visitor
    assert not await kafka_data.kept(visitor).aexists()
    assert not await ChatMessage.objects.filter(status__in=OPEN).aexists()
    with pytest.raises(AssertionError):
        await store(asked, response=WORDS)


async def test_nothing_is_deleted_by_a_link_a_foreign_form_or_in_passing(visitor: uuid.UUID) -> None:
    await _run(visitor)
    strict = _browser(visitor, enforce_csrf_checks=True)
    assert (await strict.get("/your-data/erase/")).status_code == 405
    assert (await _erase(strict)).status_code == 403
    unsure = await _erase(_browser(visitor), sure="no")
    assert unsure.status_code == 400
    assert "Tick the box" in unsure.content.decode()
    assert await Run.objects.acount() == 1


async def test_with_redis_away_nothing_is_deleted_and_the_page_says_so(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(name: str) -> None:
        raise conversations.Away("not here")

    monkeypatch.setattr(conversations, "forget", away)
    client = _browser(visitor)
    asked = await ask(client, WORDS)
    await begin(asked)
    await store(asked, response=WORDS)
    refused = await _erase(client)
    assert refused.status_code == 503
    assert "Please try again in a few seconds" in refused.content.decode()
    assert await ChatMessage.objects.filter(session_id=visitor).acount() == 1
