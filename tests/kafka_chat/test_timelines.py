"""What the whole pipeline tells of a question: every mark, and what PostgreSQL was asked for it."""

import asyncio
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from llm.timelines import marks
from llm.timelines.marks import MARKS, Noted
from tests.kafka_chat.asking import ask, newcomer
from tests.kafka_chat.conftest import working

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "run_log")]


async def _told(trace: str, *, beside: float) -> Noted:
    """Return what was told of a question once so much was written beside it."""
    async with asyncio.timeout(20):
        while True:
            await sync_to_async(marks.collector.flush)()
            found = await marks.find(UUID(trace))
            if found is not None and found.beside.writes >= beside:
                return found
            await asyncio.sleep(0.05)


async def test_a_question_passes_every_mark_and_costs_four_writes() -> None:
    client = await newcomer()
    async with working():
        asked = await ask(client, "What is an outbox?")
        state = (await client.get(asked["poll_url"] + "&wait=20")).json()
        assert (state["status"], state["trace_id"]) == ("answered", asked["trace_id"])
        told = await _told(asked["trace_id"], beside=1)
    assert set(told.marks) == set(MARKS)
    assert (told.facts["chat"], told.facts["outcome"], told.facts["provider"]) == ("kafka", "answered", "scripted")
    assert int(told.facts["completion_tokens"]) > 0
    # Asked, sent, claimed, answered: each one statement, and nobody else was there to share it.
    assert told.counted.writes == 4
    # The poll's look; on a slow machine it looks again.
    assert told.counted.reads >= 1


async def test_each_look_without_waiting_reads_the_row() -> None:
    client = await newcomer()
    asked = await ask(client)
    for _ in range(3):
        await client.get(asked["poll_url"])
    told = await _told(asked["trace_id"], beside=0)
    assert (told.counted.reads, told.counted.writes) == (3, 1)


async def test_the_same_question_sent_again_begins_no_other_timeline() -> None:
    client = await newcomer()
    headers = {"Idempotency-Key": "a"}
    replies, begun = [], []
    for _ in range(2):
        response = await client.post(
            "/api/chat/", {"message": "why?"}, content_type="application/json", headers=headers
        )
        replies.append(response.json())
        told = await _told(replies[0]["trace_id"], beside=0)
        begun.append(told.marks)
    assert replies[0] == replies[1]
    assert begun[0] == begun[1]
    # The second one failed to write, and read the row in its place.
    assert (told.counted.reads, told.counted.writes) == (1, 1)
