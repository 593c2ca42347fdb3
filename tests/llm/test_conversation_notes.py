"""The notes that a conversation keeps of its earlier turns, on a real Valkey, with the scripted provider."""

import asyncio
import sys
import uuid

import pytest

from config import redis
from config.env import BASE_DIR
from llm import conversations, registry, tokens
from llm.memory import Turn
from llm.memory_store import Store
from tests.llm.attentive import Model
from tests.llm.talking import a_turn, add_all, notes_made, opened, reminders, turn_ids

pytestmark = pytest.mark.usefixtures("fresh")


FACT = "My dog is called Bello."
NOTES = "The user's dog is called Bello."
SCENES: list[dict[str, object]] = [{"contains": "Bello", "answer": NOTES}, {"answer": "The user talks a lot."}]


async def test_a_conversation_of_200_messages_stays_within_the_budget_and_knows_what_message_3_said(
    name: str, model: Model, settings
) -> None:
    conversation = await opened(name)
    for number in range(1, 101):
        turn = Turn("0002", FACT, "Noted.") if number == 2 else a_turn(number)
        assert tokens.estimate_prompt(conversation.prompt(turn.question)) <= settings.LLM_MEMORY_TOKENS
        conversation.add(turn)
        await conversation.save()
        await notes_made()
    first, second, *_, last = model.requests
    assert len(model.requests) > 5
    # The first notes are made of the turn itself, those that follow of the notes before them.
    assert f"User: {FACT}\nAssistant: Noted.\n" in first.messages[1].content
    assert f"<notes>\n{NOTES}\n</notes>" in second.messages[1].content
    assert f"<notes>\n{NOTES}\n</notes>" in last.messages[1].content
    assert FACT not in last.messages[1].content
    for request in model.requests:
        assert request.temperature == 0
        assert request.max_tokens == settings.LLM_MEMORY_TOKENS // 5
        assert tokens.estimate_prompt(request.messages) <= settings.LLM_MEMORY_TOKENS
    prompt = conversation.prompt("What is my dog called?")
    assert tokens.estimate_prompt(prompt) <= settings.LLM_MEMORY_TOKENS
    assert NOTES in prompt[1].content
    assert prompt[-3].content == a_turn(100).question
    assert FACT not in reminders(conversation)
    # No turn is lost between the notes and the window.
    assert turn_ids(conversation) == [f"{number:04}" for number in range(int(turn_ids(conversation)[0]), 101)]


async def test_an_answer_does_not_wait_for_notes(name: str, model: Model) -> None:
    model.may_answer.clear()
    conversation = await opened(name)
    async with asyncio.timeout(10):
        await add_all(conversation, *map(a_turn, range(20)))
        await model.asked.wait()
        await add_all(conversation, *map(a_turn, range(20, 30)))
        # As many turns as fit.
        assert "question 29" in reminders(conversation)
        assert "<notes>" not in reminders(conversation)
        model.may_answer.set()
        await notes_made()
    assert "The user talks a lot." in reminders(conversation)


async def test_a_turn_that_comes_while_notes_are_made_is_not_lost(name: str, model: Model) -> None:
    model.may_answer.clear()
    here, there = await opened(name), await opened(name)
    await add_all(here, *map(a_turn, range(12)))
    await model.asked.wait()
    await there.refresh()
    await add_all(there, a_turn(12), a_turn(13))
    model.may_answer.set()
    await notes_made()
    seen = await opened(name)
    assert seen.memory.notes == "The user talks a lot."
    assert turn_ids(seen)[-2:] == ["0012", "0013"]
    records = "".join(request.messages[1].content for request in model.requests)
    summed_up = [f"question {number} " in records for number in range(14)]
    assert summed_up == [f"{number:04}" not in turn_ids(seen) for number in range(14)]


async def test_two_processes_make_no_notes_at_once(name: str, model: Model) -> None:
    model.may_answer.clear()
    here = await opened(name)
    await add_all(here, *map(a_turn, range(12)))
    others = [await opened(name) for _ in range(5)]
    await model.asked.wait()
    await asyncio.gather(*(other.sum_up() for other in others))
    assert len(model.requests) == 1
    model.may_answer.set()
    await notes_made()
    records = [request.messages[1].content for request in model.requests]
    assert all(sum(f"question {number} " in record for record in records) <= 1 for number in range(12))
    assert (await opened(name)).memory.notes


async def test_notes_of_one_who_took_too_long_are_void(name: str, model: Model) -> None:
    store = Store(name)
    await add_all(await opened(name), a_turn(1), a_turn(2))
    assert await store.begin_summary("slow", 0.001)
    await asyncio.sleep(0.01)
    assert await store.begin_summary("fast", 60)
    assert await store.take_notes("slow", 60, "late notes", [a_turn(1)]) is None
    taken = await store.take_notes("fast", 60, "notes", [a_turn(1)])
    assert taken is not None and (taken.notes, taken.turns) == ("notes", (a_turn(2),))
    await store.end_summary("slow")
    assert await store.begin_summary("third", 60) is None
    await store.end_summary("fast")
    assert await store.begin_summary("third", 60)


async def test_notes_on_a_conversation_that_has_expired_do_not_bring_a_part_of_it_back(name: str) -> None:
    store = Store(name)
    await add_all(await opened(name), a_turn(1), a_turn(2))
    assert await store.begin_summary("mine", 60)
    await redis.client().delete(f"llm:memory:{{{name}}}")
    assert await store.take_notes("mine", 60, "notes", [a_turn(1)]) is None
    assert await store.read() is None


# What another process does: tells of twenty turns, and sums up while it does so.
_PROCESS = """
import asyncio, sys
import django
django.setup()
from llm import conversations
from llm.memory import Turn

async def talk(name, first):
    async def load():
        return ()
    conversation = conversations.of(name, load)
    for number in range(first, first + 20):
        conversation.add(Turn(f"{number:04}", f"question {number} " + "word " * 60, "answer " + "word " * 60))
        await conversation.save()
    await conversations.aclose(30)

asyncio.run(talk(sys.argv[1], int(sys.argv[2])))
"""


async def test_two_real_processes_talk_and_sum_up_at_once(name: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _PROCESS, name, str(first), cwd=BASE_DIR)
        for first in (0, 100)
    ]
    assert [await process.wait() for process in processes] == [0, 0]
    fields = await redis.client().hkeys(f"llm:memory:{{{name}}}")
    told = {f"turn:{first + number:04}".encode() for first in (0, 100) for number in range(20)}
    assert set(fields) == told | {b"notes"}
    seen = await opened(name)
    assert seen.memory.notes
    assert 0 < len(seen.memory.turns) < 20
    assert not await redis.client().exists(f"llm:memory:{{{name}}}:summing-up")


@pytest.mark.parametrize("scene", [{"error": "fault"}, {"error": "rejected"}, {"answer": " "}])
async def test_notes_that_fail_cost_nothing_and_are_tried_again_after_the_next_turn(
    name: str, monkeypatch: pytest.MonkeyPatch, scene: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Model(scene)
    monkeypatch.setattr(registry, "build", lambda *_: failing)
    conversation = await opened(name)
    await add_all(conversation, *map(a_turn, range(12)))
    await notes_made()
    assert failing.requests
    assert "question 11" in reminders(conversation)
    asked = len(failing.requests)
    await add_all(conversation, a_turn(12))
    await notes_made()
    assert len(failing.requests) > asked
    assert len(turn_ids(conversation)) == 13
    assert "word" not in caplog.text
    await registry.aclose()
    monkeypatch.setattr(registry, "build", lambda *_: Model({"answer": "At last."}))
    await add_all(conversation, a_turn(13))
    await notes_made()
    assert conversation.memory.notes == "At last."


async def test_a_fault_of_ours_in_the_background_says_nothing_of_the_texts(
    name: str, settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LLM_CHAINS = {}
    conversation = await opened(name)
    await add_all(conversation, *map(a_turn, range(12)))
    await notes_made()
    assert "question 11" in reminders(conversation)
    assert "KeyError" in caplog.text
    assert "word" not in caplog.text


async def test_a_turn_that_is_in_the_notes_does_not_come_back(name: str, model: Model) -> None:
    stale = await opened(name)
    await add_all(stale, *map(a_turn, range(11)))
    await stale.refresh()
    other = await opened(name)
    await add_all(other, a_turn(11))
    await notes_made()
    assert "0000" not in turn_ids(await opened(name))
    await add_all(stale, a_turn(0), a_turn(12))
    await notes_made()
    assert "0000" not in turn_ids(await opened(name))


async def test_a_process_makes_few_notes_at_once_and_gives_them_up_when_it_ends(model: Model) -> None:
    model.may_answer.clear()
    several = [await opened(f"test:{uuid.uuid4()}") for _ in range(conversations.MAX_SUMMARIES + 3)]
    for conversation in several:
        await add_all(conversation, *map(a_turn, range(12)))
    async with asyncio.timeout(10):
        while len(model.requests) < conversations.MAX_SUMMARIES:
            await asyncio.sleep(0.01)
        await conversations.aclose(0)
    assert len(model.requests) == conversations.MAX_SUMMARIES
    # Who was given up blocks nobody.
    model.may_answer.set()
    await several[0].sum_up()
    assert several[0].memory.notes


def test_a_loop_that_ends_takes_its_notes_along(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk() -> asyncio.Task[None]:
        model = Model()
        model.may_answer.clear()
        monkeypatch.setattr(registry, "build", lambda *_: model)
        await add_all(await opened(name), *map(a_turn, range(12)))
        await model.asked.wait()
        (task,) = conversations._local()._summaries.values()
        return task

    assert asyncio.run(talk()).cancelled()
