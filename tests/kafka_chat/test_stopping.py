"""A visitor stops a question, wherever it is."""

import asyncio
import uuid
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient
from pytest_django import Settings

from kafka_chat import asking, claims
from kafka_chat.models import OPEN, ChatMessage, Status
from llm import registry, runs
from llm.runs import RunLog
from tests.kafka_chat.asking import ask, begin, claim, newcomer, store
from tests.kafka_chat.conftest import working
from tests.kafka_chat.events import read, text_and_end
from tests.llm.attentive import Model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]


async def _stop(client: AsyncClient, asked: Any, **body: object) -> Any:
    return await client.post(asked["stop_url"], body, content_type="application/json")


async def _finished(client: AsyncClient, asked: Any) -> Any:
    response = await client.get(asked["poll_url"] + "&wait=20")
    assert response.json()["status"] not in OPEN
    return response.json()


async def _row(asked: Any) -> ChatMessage:
    return await ChatMessage.objects.aget(pk=asked["message_id"])


@pytest.mark.usefixtures("broker")
async def test_the_answer_is_what_the_visitor_had_seen_and_the_model_is_left_alone() -> None:
    client = await newcomer()
    async with working("relay", "answer", "persist"):
        asked = await ask(client, "scene:slow")
        events = read((await client.get(asked["events_url"])).streaming_content)
        seen = [await anext(events) for _ in range(3)]
        response = await _stop(client, asked, seen=int(seen[1].number))
        assert (response.status_code, response.json()["status"]) == (202, "generating")
        async with asyncio.timeout(10):
            _, end = await text_and_end(events)
        state = await _finished(client, asked)
    assert seen[1].data["text"] == "two "
    assert (state["status"], state["response"], state["html"]) == ("stopped", "one two ", "<p>one two</p>\n")
    assert state["provider"] == "scripted" and state["timings"]["total_ms"] > 0
    assert end.data | {"last": None} == state | {"last": None}
    row = await _row(asked)
    assert (row.status, row.attempts) == (Status.STOPPED, 1)


@pytest.mark.usefixtures("broker")
async def test_who_does_not_say_what_they_have_seen_keeps_what_was_written() -> None:
    client = await newcomer()
    async with working("relay", "answer", "persist"):
        asked = await ask(client, "scene:slow")
        events = read((await client.get(asked["events_url"])).streaming_content)
        await anext(events)
        await anext(events)
        assert (await _stop(client, asked)).status_code == 202
        state = await _finished(client, asked)
    assert state["status"] == "stopped"
    assert state["response"].startswith("one two ") and "ten" not in state["response"]


@pytest.mark.usefixtures("broker")
async def test_an_answer_that_has_not_begun_ends_empty_and_the_next_question_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model({"contains": "silent", "answer": "never", "first_ms": 60_000}, {"answer": "Fine."})
    monkeypatch.setattr(registry, "build", lambda *_: model)
    client = await newcomer()
    async with working("relay", "answer", "persist"):
        asked, following = await ask(client, "silent"), await ask(client, "And now?")
        async with asyncio.timeout(20):
            while not model.requests:
                await asyncio.sleep(0.02)
        await _stop(client, asked, seen=0)
        state = await _finished(client, asked)
        assert (await _finished(client, following))["response"] == "Fine."
    assert (state["status"], state["response"], state["error"]) == ("stopped", "", "")
    # What was stopped before it began is nothing to be reminded of.
    assert [message.content for message in model.requests[-1].messages[1:]] == ["And now?"]


@pytest.mark.usefixtures("broker")
async def test_a_question_that_waits_is_never_answered() -> None:
    client = await newcomer()
    asked, following = await ask(client, "first"), await ask(client, "second")
    response = await _stop(client, asked, seen=0)
    assert (response.status_code, response.json()["status"], response.json()["response"]) == (200, "stopped", "")
    async with working("relay", "answer", "persist"):
        assert (await _finished(client, following))["status"] == "answered"
    row = await _row(asked)
    assert (row.status, row.response, row.attempts) == (Status.STOPPED, "", 0)


async def test_who_waits_for_a_question_that_is_stopped_is_told() -> None:
    client = await newcomer()
    asked = await ask(client)
    polling = asyncio.create_task(client.get(asked["poll_url"] + "&wait=20"))
    await asyncio.sleep(0.3)
    stopped = await _stop(client, asked)
    async with asyncio.timeout(5):
        assert (await polling).json() == stopped.json()


async def test_a_finished_question_stays_as_it_is() -> None:
    client = await newcomer()
    asked = await ask(client)
    await store(asked)
    response = await _stop(client, asked, seen=0)
    assert (response.status_code, response.json()["status"], response.json()["response"]) == (
        200,
        "answered",
        "because",
    )


async def test_what_a_lost_worker_had_written_counts_as_far_as_it_was_seen(run_log: RunLog) -> None:
    client = await newcomer()
    asked = await ask(client)
    writer = await begin(asked)
    for text in ("one ", "two ", "three"):
        writer.write(text)
    await run_log.close(writer)
    await claims.release([uuid.UUID(asked["message_id"])]).execute()
    response = await _stop(client, asked, seen=2)
    assert (response.status_code, response.json()["response"]) == (200, "one two ")


async def test_an_answer_without_a_run_is_stopped_in_its_row() -> None:
    client = await newcomer()
    asked = await ask(client)
    assert await database_sync_to_async(claim)(uuid.UUID(asked["message_id"]))
    response = await _stop(client, asked)
    assert (response.status_code, response.json()["status"]) == (200, "stopped")
    # A worker that had only just begun does not answer it any more.
    with pytest.raises(runs.RunEnded):
        await runs.log().take_over(uuid.UUID(asked["message_id"]), owner="")


async def test_with_redis_away_a_question_that_waits_is_stopped_and_one_that_is_answered_is_not(
    settings: Settings, run_log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await newcomer()
    answering, waiting = await ask(client), await ask(client)
    await database_sync_to_async(claim)(uuid.UUID(answering["message_id"]))
    monkeypatch.setattr(run_log, "_store", type(run_log._store)(_unreachable(), run_log._background, lease=15))
    assert (await _stop(client, waiting)).json()["status"] == "stopped"
    response = await _stop(client, answering)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert response.json()["error"]["code"] == "run_log_away"
    assert (await _row(answering)).status == Status.GENERATING


def _unreachable() -> Any:
    from config import redis

    return redis.connect("redis://127.0.0.1:1")


async def test_a_stop_in_the_moment_of_a_claim_reaches_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    client = await newcomer()
    asked = await ask(client)
    writing: list[Any] = []
    look = asking.find

    async def claimed_after_the_look(session_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
        row = await look(session_id, message_id)
        if not writing:
            writing.append(await begin(asked))
        return row

    monkeypatch.setattr(asking, "find", claimed_after_the_look)
    response = await _stop(client, asked, seen=0)
    assert (response.status_code, response.json()["status"]) == (202, "generating")
    assert writing[0].seen == 0


async def test_nobody_stops_another_visitor_s_question() -> None:
    asked = await ask(await newcomer())
    response = await _stop(await newcomer(), asked, seen=0)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_message")
    assert (await _row(asked)).status == Status.QUEUED


async def test_without_a_csrf_token_nothing_is_stopped() -> None:
    client = await newcomer()
    asked = await ask(client)
    strict = AsyncClient(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert (await _stop(strict, asked)).status_code == 403
    assert (await _row(asked)).status == Status.QUEUED


@pytest.mark.parametrize("body", ["[]", "{", '{"seen": -1}', '{"seen": "1"}', '{"seen": 1.5}', '{"other": 1}', "\xff"])
async def test_bad_input_is_refused(body: str) -> None:
    client = await newcomer()
    asked = await ask(client)
    response = await client.post(asked["stop_url"], body.encode("latin-1"), content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_stop")


async def test_an_empty_body_will_do() -> None:
    client = await newcomer()
    asked = await ask(client)
    assert (await client.post(asked["stop_url"], b"", content_type="application/json")).status_code == 200
