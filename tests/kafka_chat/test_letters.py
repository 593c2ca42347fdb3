"""Dead letters, sent back or dismissed through the command that operators use."""

import asyncio
import json
import re
import uuid

import pytest
from channels.db import database_sync_to_async

from kafka_chat import failures, letters, topics
from kafka_chat.clients import Publisher
from kafka_chat.messages import Question
from kafka_chat.models import OutboxEntry, Status
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import working
from tests.kafka_chat.replaying import finished, positions_of, replay

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

ask = database_sync_to_async(ask_here)

PERSIST = "chatbot-persist"


async def _publish(value: bytes, headers: dict[str, str | bytes | None], topic: str = topics.QUESTIONS) -> None:
    async with Publisher() as publisher:
        await publisher.send(topic, key=b"key", value=value, headers=headers)


async def _letters(count: int) -> list[letters.Letter]:
    """Return the dead letters that were not sent back, once there are so many."""
    async with asyncio.timeout(30):
        while len(found := await asyncio.to_thread(letters.unsent)) < count:
            await asyncio.sleep(0.1)
    return found


async def test_a_dead_letter_has_the_original_bytes_and_headers_and_one_role_buries_it() -> None:
    async with working():
        await _publish(b"\x00\xffnot json", {"message_id": b"\xfe\xff", "own": "kept"})
        await _letters(1)
        # Whoever would bury it as well has had it by now.
        await asyncio.sleep(1)
        (letter,) = await _letters(1)
    assert (letter.message.value(), letter.message.key(), letter.topic) == (
        b"\x00\xffnot json",
        b"key",
        topics.QUESTIONS,
    )
    headers = failures.headers_of(letter.message)
    assert (headers["message_id"], headers["own"]) == (b"\xfe\xff", b"kept")
    assert failures.original(headers) == {"message_id": b"\xfe\xff", "own": b"kept"}
    assert letter.reason.startswith("UnreadableMessage: question: ")
    said = await replay("--dead-letters")
    assert re.search(r"10  chatbot-questions +UnreadableMessage: question: ", said)
    assert "not json" not in said
    assert "Nothing was changed." in said


async def test_a_question_in_a_newer_version_fails_visibly_and_is_answered_once_readers_know_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = await ask(uuid.uuid4(), "hello from the future")
    entry = await OutboxEntry.objects.aget()
    value = json.dumps(json.loads(entry.value) | {"version": 2, "mood": "good"}).encode()
    await OutboxEntry.objects.filter(pk=entry.pk).aupdate(value=value)
    async with working():
        failed = await finished(row)
    assert (failed.status, failed.error, failed.attempts) == (Status.FAILED, failures.UNREADABLE, 0)
    monkeypatch.setattr(Question, "newest_version", 2)
    assert "Sent back: 1." in await replay("--dead-letters", "--yes")
    async with working():
        found = await finished(row)
    assert found.status == Status.ANSWERED
    assert "hello from the future" in found.response
    assert "There are no dead letters" in await replay("--dead-letters")


async def test_what_still_cannot_be_read_is_buried_once_more_with_its_own_headers() -> None:
    async with working():
        await _publish(b"bad", {"message_id": "7"})
        (first,) = await _letters(1)
    await replay("--dead-letters", "--yes")
    assert await asyncio.to_thread(letters.unsent) == []
    async with working():
        (second,) = await _letters(1)
    assert (second.partition, second.offset) != (first.partition, first.offset)
    assert second.message.value() == b"bad"
    assert failures.original(failures.headers_of(second.message)) == {"message_id": b"7"}
    assert second.message.headers() != first.message.headers()


async def test_a_letter_that_is_not_from_here_goes_nowhere() -> None:
    await asyncio.to_thread(topics.ensure)
    await _publish(b"x", {"dead_topic": "somebody-elses"}, topics.DEAD_LETTERS)
    await _publish(b"y", {"dead_topic": topics.ANSWERS}, topics.DEAD_LETTERS)
    assert "nowhere" in await replay("--dead-letters")
    assert "Sent back: 1." in await replay("--dead-letters", "--yes")
    ends = await asyncio.to_thread(positions_of, PERSIST)
    assert sum(each.high for each in ends) == 1
    assert await asyncio.to_thread(letters.unsent) == []


async def test_letters_are_dismissed_without_being_sent() -> None:
    await asyncio.to_thread(topics.ensure)
    await _publish(b"x", {"dead_topic": topics.ANSWERS}, topics.DEAD_LETTERS)
    assert "1 dead letters will be sent nowhere" in await replay("--dead-letters", "--dismiss")
    assert "Dismissed: 1." in await replay("--dead-letters", "--dismiss", "--yes")
    assert sum(each.high for each in await asyncio.to_thread(positions_of, PERSIST)) == 0
    assert await asyncio.to_thread(letters.unsent) == []


async def test_so_many_letters_as_wanted_are_sent_back() -> None:
    await asyncio.to_thread(topics.ensure)
    for number in range(5):
        await _publish(b"%d" % number, {"dead_topic": topics.ANSWERS}, topics.DEAD_LETTERS)
    assert "Sent back: 2." in await replay("--dead-letters", "--limit", "2", "--yes")
    left = [letter.message.value() for letter in await asyncio.to_thread(letters.unsent)]
    assert left == [b"2", b"3", b"4"]
