"""Questions asked again and groups reset, through the command that operators use."""

import asyncio
import io
import re
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.core.management.base import CommandError
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from kafka_chat import replaying
from kafka_chat.models import PLACEHOLDER, ChatMessage, OutboxEntry, Status
from llm import runs
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import working
from tests.kafka_chat.replaying import finished, positions_of, replay, until
from tests.servers import ON_APACHE_KAFKA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

ask = database_sync_to_async(ask_here)

ANSWER, PERSIST = "chatbot-answer", "chatbot-persist"


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to be asked."""
    monkeypatch.setattr("sys.stdin", io.StringIO())


async def _failed(text: str = "hello", *, error: str = "It failed.", ago: timedelta = timedelta()) -> ChatMessage:
    row = await ChatMessage.objects.acreate(
        session_id=uuid.uuid4(), message=text, response="", status=Status.FAILED, error=error, attempts=5
    )
    await ChatMessage.objects.filter(pk=row.pk).aupdate(created_at=timezone.now() - ago)
    return row


async def _answered(count: int) -> list[ChatMessage]:
    """Have questions answered, and return their rows."""
    rows = [await ask(uuid.uuid4(), f"question {number}") for number in range(count)]
    async with working():
        return [await finished(row) for row in rows]


# Failed questions


async def test_failed_questions_are_shown_first_and_nothing_is_changed() -> None:
    for _ in range(3):
        await _failed(error="The model is away.")
    await _failed(error="Something else.")
    said = await replay("--failed")
    assert re.search(r"^ +3  .*  The model is away\.$", said, re.MULTILINE)
    assert re.search(r"^ +1  .*  Something else\.$", said, re.MULTILINE)
    assert "4 failed questions will be asked again." in said
    assert "Nothing was changed. Add --yes to do it." in said
    assert await ChatMessage.objects.filter(status=Status.FAILED).acount() == 4
    assert not await OutboxEntry.objects.aexists()


async def test_failed_questions_are_asked_again_and_answered() -> None:
    rows = [await _failed(f"question {number}") for number in range(3)]
    assert "Asked again: 3." in await replay("--failed", "--yes")
    opened = await ChatMessage.objects.aget(pk=rows[0].pk)
    assert (opened.status, opened.response, opened.error, opened.attempts) == (Status.QUEUED, PLACEHOLDER, "", 0)
    async with working():
        ended = [await finished(row) for row in rows]
    assert all(f"question {number}" in row.response for number, row in enumerate(ended))
    assert "There are no failed questions. Nothing to do." in await replay("--failed", "--yes")


async def test_who_looks_after_that_is_told_of_the_answer_and_not_of_the_failure() -> None:
    row = await ask(uuid.uuid4(), "scene:rejected")
    async with working():
        assert (await finished(row)).status == Status.FAILED
        async with asyncio.timeout(10):
            while (await runs.log().snapshot(row.message_id)).end is None:
                await asyncio.sleep(0.02)
    await ChatMessage.objects.filter(pk=row.pk).aupdate(message="now it works")
    await replay("--failed", "--yes")
    assert await runs.log().info(row.message_id) is None
    async with working():
        await finished(row)
        *_, end = [event async for event in runs.log().read(row.message_id)]
    assert isinstance(end, runs.End)
    assert end.outcome == Status.ANSWERED


async def test_since_and_limit_choose_the_oldest_of_the_newer_ones() -> None:
    old = await _failed(ago=timedelta(hours=3))
    new = [await _failed(ago=timedelta(minutes=minutes)) for minutes in (50, 40, 30)]
    assert "1 failed questions" in await replay("--failed", "--since", "35m")
    assert "Asked again: 2." in await replay("--failed", "--since", "2h", "--limit", "2", "--yes")
    failed = ChatMessage.objects.filter(status=Status.FAILED).values_list("message_id", flat=True)
    assert {pk async for pk in failed} == {old.pk, new[2].pk}


async def test_many_are_asked_again_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "BATCH", 2)
    ids = [(await _failed()).pk for _ in range(5)]
    assert [number async for number in replaying.ask_again(ids)] == [2, 2, 1]
    # Twice is harmless.
    assert [number async for number in replaying.ask_again(ids)] == [0, 0, 0]
    assert await OutboxEntry.objects.acount() == 5
    await runs.log().aclose()
    await sync_to_async(connections.close_all)()


async def test_with_redis_away_nothing_is_asked_again(settings: Settings) -> None:
    row = await _failed()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(CommandError, match="Redis cannot be reached"):
        await replay("--failed", "--yes")
    assert (await ChatMessage.objects.aget(pk=row.pk)).status == Status.FAILED


# Groups


async def _commit(group: str) -> int:
    """Return the sum of what a group has committed."""
    return sum(each.committed or 0 for each in await asyncio.to_thread(positions_of, group))


async def test_a_reset_is_shown_partition_by_partition_before_it_is_done() -> None:
    await _answered(8)
    before = await _commit(ANSWER)
    assert before == 8
    said = await replay("--group", ANSWER, "--to-earliest")
    assert said.count(" again\n") == 6
    assert "6 partitions of chatbot-questions will be read anew by chatbot-answer." in said
    assert "Nothing was changed." in said
    assert await _commit(ANSWER) == before


@pytest.mark.parametrize("group", [ANSWER, PERSIST])
async def test_what_is_read_again_is_answered_and_stored_no_second_time(group: str) -> None:
    rows = await _answered(8)
    assert "Done." in await replay("--group", group, "--to-earliest", "--yes")
    assert await _commit(group) == 0
    later = await _answered(1)
    async with working():
        async with asyncio.timeout(30):
            while await _commit(group) < 9:
                await asyncio.sleep(0.1)
    for row in rows:
        found = await ChatMessage.objects.aget(pk=row.pk)
        assert (found.attempts, found.answered_at, found.response) == (1, row.answered_at, row.response)
    assert later[0].attempts == 1


async def test_what_a_reset_leaves_out_is_sent_again_by_the_sweep(settings: Settings) -> None:
    settings.KAFKA_UNCLAIMED_SECONDS = 1
    await _answered(2)
    row = await ask(uuid.uuid4(), "left out")
    async with working("relay"):
        async with asyncio.timeout(20):
            while await OutboxEntry.objects.filter(sent_at=None).aexists():
                await asyncio.sleep(0.05)
    said = await replay("--group", ANSWER, "--to-latest", "--yes")
    assert "1 left out" in said
    async with working():
        assert (await finished(row)).status == Status.ANSWERED


async def test_one_partition_can_be_set_to_an_offset_within_what_is_there() -> None:
    await _answered(12)
    at = {each.partition: each for each in await asyncio.to_thread(positions_of, ANSWER)}
    chosen = max(at.values(), key=lambda each: each.high)
    await replay("--group", ANSWER, "--to-offset", "1", "--partition", str(chosen.partition), "--yes")
    after = {each.partition: each.committed for each in await asyncio.to_thread(positions_of, ANSWER)}
    assert after.pop(chosen.partition) == 1
    assert all(committed == at[number].committed for number, committed in after.items())
    await replay("--group", ANSWER, "--to-offset", "1000000", "--partition", str(chosen.partition), "--yes")
    assert (await asyncio.to_thread(positions_of, ANSWER))[chosen.partition].committed == chosen.high
    with pytest.raises(CommandError, match="no such partition"):
        await replay("--group", ANSWER, "--to-earliest", "--partition", "77")


async def test_a_reset_to_a_time_reads_what_came_since_then() -> None:
    await _answered(6)
    # Later than the last message, and later than the time that its broker gave it.
    await asyncio.sleep(0.05)
    between = timezone.now()
    await asyncio.sleep(0.05)
    visitor = uuid.uuid4()
    async with working():
        for number in range(3):
            await finished(await ask(visitor, f"later {number}"))
    await replay("--group", ANSWER, "--to-time", between.isoformat(), "--yes")
    found = await asyncio.to_thread(positions_of, ANSWER)
    again = [each.high - (each.committed or 0) for each in found]
    if ON_APACHE_KAFKA:
        assert sorted(again) == [0, 0, 0, 0, 0, 3]
    else:
        # The embedded broker knows batches, and names the beginning where there is nothing from that time on.
        assert max(again) >= 3


async def test_a_group_with_live_members_is_not_reset() -> None:
    await _answered(4)
    async with working("answer") as worker:
        row = await ask(uuid.uuid4(), "is it a member yet?")
        async with working("relay"):
            await until(row, lambda found: found.status != Status.QUEUED)
        before = await _commit(ANSWER)
        with pytest.raises(CommandError, match="has live members"):
            await replay("--group", ANSWER, "--to-earliest", "--yes")
        # Also where somebody joins after we have looked.
        moves = await asyncio.to_thread(replaying.plan_reset, ANSWER, replaying.to_earliest)
        with pytest.raises(replaying.GroupIsAtWork):
            await asyncio.to_thread(replaying.reset, ANSWER, moves)
        assert await _commit(ANSWER) >= before
        worker.stop()


# The command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one of the arguments --failed --group --dead-letters is required"),
        (("--failed", "--group", ANSWER), "not allowed with"),
        (("--group", "strangers", "--to-latest"), "invalid choice"),
        (("--group", ANSWER), "Say where the group shall go"),
        (("--group", ANSWER, "--to-latest", "--to-offset", "1"), "not allowed with"),
        (("--group", ANSWER, "--to-latest", "--since", "1h"), "--since does not go with this"),
        (("--failed", "--to-earliest"), "--to-earliest does not go with this"),
        (("--failed", "--partition", "0"), "--partition does not go with this"),
        (("--failed", "--to-offset", "0"), "--to-offset does not go with this"),
        (("--dead-letters", "--since", "1h"), "--since does not go with this"),
        (("--failed", "--dismiss"), "--dismiss does not go with this"),
        (("--failed", "--since", "yesterday"), "is no time"),
        (("--failed", "--since", "2026-02-31"), "is no time"),
        (("--group", ANSWER, "--to-time", "2999-01-01T00:00"), "lies in the future"),
        (("--failed", "--limit", "-1"), "is no number"),
    ],
)
async def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)):
        await replay(*arguments)


@pytest.mark.parametrize(("typed", "status"), [("y", Status.QUEUED), ("", Status.FAILED), ("no", Status.FAILED)])
async def test_on_a_terminal_one_is_asked(monkeypatch: pytest.MonkeyPatch, typed: str, status: Status) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    row = await _failed()
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    await replay("--failed")
    assert (await ChatMessage.objects.aget(pk=row.pk)).status == status


async def test_with_kafka_away_the_command_says_so(settings: Settings) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:1"
    with pytest.raises(CommandError, match="Kafka cannot be reached"):
        await replay("--group", ANSWER, "--to-earliest")
