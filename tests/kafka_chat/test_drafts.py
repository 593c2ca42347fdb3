"""Answers while they are made: in the run log, and without it."""

import asyncio
import uuid
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisIsAway

from kafka_chat import drafts, questions, stopping
from kafka_chat.drafts import Draft
from kafka_chat.models import OPEN, ChatMessage, OutboxEntry, Status
from kafka_chat.worker import Role
from llm import registry, runs
from llm.runs import End, RunEnded, RunFull, RunLog
from llm.types import Chunk
from tests.kafka_chat.asking import ask_here, claim
from tests.kafka_chat.conftest import working
from tests.llm.attentive import Model

ROLES: tuple[Role, ...] = ("relay", "answer", "persist")

pytestmark = pytest.mark.usefixtures("run_log")


@pytest.fixture
async def draft() -> Draft:
    opened = Draft(uuid.uuid4(), uuid.uuid4())
    await opened.open()
    return opened


async def _read(run: uuid.UUID) -> tuple[str, End]:
    text = ""
    async with asyncio.timeout(10):
        async for event in runs.log().read(run):
            if isinstance(event, End):
                return text, event
            text = event.text if event.restart else text + event.text
    raise AssertionError("a run was read without an end")


async def _finished(row: ChatMessage) -> ChatMessage:
    async with asyncio.timeout(30):
        while (found := await ChatMessage.objects.aget(pk=row.pk)).status in OPEN:
            await asyncio.sleep(0.02)
    return found


async def _ask(text: str) -> ChatMessage:
    return await database_sync_to_async(ask_here)(uuid.uuid4(), text)


def _redis_goes_away(monkeypatch: pytest.MonkeyPatch, log: RunLog, *names: str) -> None:
    async def away(*_: object, **__: object) -> Any:
        raise RedisIsAway("connection refused")

    for name in names:
        monkeypatch.setattr(log._store, name, away)


async def test_what_another_model_begins_anew_replaces_what_was_written(draft: Draft) -> None:
    draft.add(Chunk("half", provider="a"))
    draft.add(Chunk("whole ", provider="b", fallback=True, restart=True))
    draft.add(Chunk("answer", provider="b", fallback=True))
    await draft.close()
    assert (draft.text, draft.last.provider, draft.last.fallback) == ("whole answer", "b", True)
    assert (await runs.log().snapshot(draft.message_id)).text == "whole answer"


async def test_a_second_try_begins_anew_also_where_it_says_nothing(draft: Draft) -> None:
    draft.add(Chunk("half"))
    draft.begin_anew()
    draft.add(Chunk(finish="stop"))
    assert (draft.text, draft.first_token_at) == ("", None)
    draft.add(Chunk("late"))
    await draft.close()
    assert (await runs.log().snapshot(draft.message_id)).text == draft.text == "late"


@pytest.mark.parametrize("shown", [True, False])
async def test_an_answer_has_a_greatest_length_with_and_without_the_run_log(
    shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MAX_CHARACTERS", 5)
    draft = Draft(uuid.uuid4(), uuid.uuid4())
    if shown:
        await draft.open()
    draft.add(Chunk("123"))
    with pytest.raises(RunFull):
        draft.add(Chunk("456"))
    assert draft.text == "12345"
    await draft.close()


async def test_a_stop_cancels_the_work_at_once_and_clamps_the_text(draft: Draft) -> None:
    async def work() -> str:
        for text in ("one ", "two ", "three "):
            draft.add(Chunk(text))
        await asyncio.sleep(60)
        return "done"

    working = asyncio.create_task(draft.unless_stopped(work()))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        assert await runs.log().stop(draft.message_id, 2)
        assert await working is None
    assert (draft.stopped, draft.text) == (True, "one two ")


async def test_a_stop_that_was_there_before_the_work_is_heeded(draft: Draft) -> None:
    await runs.log().stop(draft.message_id, 0)
    assert await draft.unless_stopped(asyncio.sleep(60)) is None


async def test_who_is_cancelled_cancels_the_work(draft: Draft) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    working = asyncio.create_task(draft.unless_stopped(work()))
    await asyncio.sleep(0.05)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()


async def test_errors_of_the_work_are_its_own(draft: Draft) -> None:
    async def work() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        await draft.unless_stopped(work())


async def test_another_attempt_that_takes_over_does_not_stop_this_one(draft: Draft) -> None:
    async def work() -> str:
        draft.add(Chunk("mine"))
        other = Draft(draft.message_id, draft.session_id)
        await other.open()
        draft.add(Chunk(" too"))
        await other.close()
        return "done"

    assert await draft.unless_stopped(work()) == "done"
    assert (draft.stopped, draft.text) == (False, "mine too")


async def test_a_run_that_has_ended_is_not_opened_again(draft: Draft, run_log: RunLog) -> None:
    await draft.close()
    await run_log.end(draft.message_id, "stopped", {"status": "stopped"})
    with pytest.raises(RunEnded):
        await Draft(draft.message_id, draft.session_id).open()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
class TestTheWorker:
    """With the whole pipeline."""

    async def test_writes_the_answer_into_the_run_and_ends_it_after_the_row_is_stored(self) -> None:
        async with working(*ROLES):
            row = await _ask("What is an outbox?")
            text, end = await _read(row.message_id)
            stored = await ChatMessage.objects.aget(pk=row.pk)
        assert (stored.status, stored.response) == (Status.ANSWERED, text)
        assert (end.outcome, end.data["response"], end.data["provider"]) == ("answered", text, "scripted")
        assert end.data["html"].startswith("<p>")

    async def test_tells_a_failure(self) -> None:
        async with working(*ROLES):
            _, end = await _read((await _ask("scene:rejected")).message_id)
        assert (end.outcome, end.data["html"]) == ("failed", "")
        assert "operator" in end.data["error"]

    @pytest.mark.parametrize("names", [("take_over",), ("append",), ("end",), ("take_over", "append", "end", "follow")])
    async def test_answers_also_while_redis_is_away(
        self, names: tuple[str, ...], run_log: RunLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _redis_goes_away(monkeypatch, run_log, *names)
        async with working(*ROLES):
            row = await _finished(await _ask("What is an outbox?"))
        assert row.status == Status.ANSWERED
        assert "What is an outbox?" in row.response

    async def test_replaces_what_an_attempt_that_died_had_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = Model({"answer": "A whole answer."})
        monkeypatch.setattr(registry, "build", lambda *_: model)
        row = await _ask("why?")
        await database_sync_to_async(claim)(row.message_id)
        dead = await runs.log().take_over(row.message_id, owner=str(row.session_id))
        dead.write("half an ans")
        await runs.log().close(dead)
        await ChatMessage.objects.filter(pk=row.pk).aupdate(lease_until=timezone.now())
        async with working(*ROLES):
            text, end = await _read(row.message_id)
        assert text == end.data["response"] == "A whole answer."

    async def test_tells_again_where_who_stored_the_answer_died_before_telling(
        self, run_log: RunLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ends = 0
        end = run_log._store.end

        async def dying(*args: Any) -> bool:
            nonlocal ends
            ends += 1
            if ends == 1:
                raise asyncio.CancelledError
            return await end(*args)

        monkeypatch.setattr(run_log._store, "end", dying)
        row = await _ask("why?")
        async with working(*ROLES):
            assert (await _finished(row)).status == Status.ANSWERED
        assert ends == 1
        async with working("persist"):
            _, told = await _read(row.message_id)
        assert told.data["status"] == "answered"

    async def test_tells_what_the_sweep_has_given_up(self) -> None:
        row = await _ask("kills every worker")
        await ChatMessage.objects.filter(pk=row.pk).aupdate(
            status=Status.GENERATING, attempts=questions.MAX_ATTEMPTS, lease_until=timezone.now()
        )
        reading = asyncio.create_task(_read(row.message_id))
        await asyncio.sleep(0.1)
        await ChatMessage.objects.filter(pk=row.pk).aupdate(lease_until=timezone.now())
        await OutboxEntry.objects.all().adelete()
        assert await database_sync_to_async(questions.sweep)() == (0, 1)
        _, end = await reading
        assert (end.outcome, end.data["error"]) == ("failed", questions.GIVEN_UP)

    async def test_passes_over_what_was_stopped_in_the_moment_of_its_claim(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = Model({"answer": "Fine."})
        monkeypatch.setattr(registry, "build", lambda *_: model)
        row = await _ask("why?")
        opening = Draft.open

        async def stopped_before(self: Draft) -> None:
            if self.message_id == row.message_id:
                await stopping.stop(row.session_id, row.message_id, 0)
            await opening(self)

        monkeypatch.setattr(Draft, "open", stopped_before)
        async with working(*ROLES):
            assert (await _finished(row)).status == Status.STOPPED
            following = await database_sync_to_async(ask_here)(row.session_id, "And now?")
            assert (await _finished(following)).status == Status.ANSWERED
        assert [request.messages[-1].content for request in model.requests] == ["And now?"]
        assert (await ChatMessage.objects.aget(pk=row.pk)).response == ""
