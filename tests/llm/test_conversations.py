"""Conversations on a real Valkey, with the scripted provider."""

import asyncio
import gc
import sys
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from config import redis
from config.embedded.ports import any_free
from config.env import BASE_DIR
from llm import conversations, memory_store, registry, tokens
from llm.conversations import Conversation
from llm.memory import MAX_TURNS, Turn
from llm.memory_store import Store
from llm.shared_state import Away, Shared
from tests.llm.attentive import Model

FACT = "My dog is called Bello."
NOTES = "The user's dog is called Bello."


@pytest.fixture(autouse=True)
async def fresh() -> AsyncIterator[None]:
    await registry.aclose()
    yield
    await conversations.aclose(0)
    await registry.aclose()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model of every chain."""
    model = Model({"contains": "Bello", "answer": NOTES}, {"answer": "The user talks a lot."})
    monkeypatch.setattr(registry, "build", lambda *_: model)
    return model


@pytest.fixture
def name() -> str:
    """A conversation that nobody else has."""
    return f"test:{uuid.uuid4()}"


@pytest.fixture
async def away() -> AsyncIterator[Shared]:
    """A Redis that nobody can reach."""
    client = redis.connect(f"redis://127.0.0.1:{any_free()}/0")
    yield Shared(lambda: client)
    await client.aclose()


async def _no_rows() -> Sequence[Turn]:
    return ()


async def _no_database() -> Sequence[Turn]:
    raise OSError("the database is away")


def _turn(number: int, words: int = 60) -> Turn:
    return Turn(f"{number:04}", f"question {number} " + "word " * words, f"answer {number} " + "word " * words)


async def _opened(name: str, rows: Sequence[Turn] = (), store: Store | None = None) -> Conversation:
    """Open a conversation as another process would: sharing nothing but Redis and the rows."""

    async def load() -> Sequence[Turn]:
        return rows

    conversation = Conversation(name, load, store)
    await conversation.refresh()
    return conversation


async def _talk(conversation: Conversation, *turns: Turn) -> None:
    for turn in turns:
        conversation.add(turn)
        await conversation.save()


async def _summed_up() -> None:
    """Wait for the summaries of this process."""
    await conversations.aclose(10)


def _ids(conversation: Conversation) -> list[str]:
    return [turn.id for turn in conversation.memory.turns]


def _told(conversation: Conversation) -> str:
    return "\n".join(message.content for message in conversation.prompt("And now?"))


async def test_a_conversation_of_200_messages_stays_within_the_budget_and_knows_what_message_3_said(
    name: str, model: Model, settings
) -> None:
    conversation = await _opened(name)
    for number in range(1, 101):
        turn = Turn("0002", FACT, "Noted.") if number == 2 else _turn(number)
        assert tokens.estimate_prompt(conversation.prompt(turn.question)) <= settings.LLM_MEMORY_TOKENS
        conversation.add(turn)
        await conversation.save()
        await _summed_up()
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
    assert prompt[-3].content == _turn(100).question
    assert FACT not in _told(conversation)
    # No turn is lost between the notes and the window.
    assert _ids(conversation) == [f"{number:04}" for number in range(int(_ids(conversation)[0]), 101)]


async def test_an_answer_does_not_wait_for_notes(name: str, model: Model) -> None:
    model.may_answer.clear()
    conversation = await _opened(name)
    async with asyncio.timeout(10):
        await _talk(conversation, *map(_turn, range(20)))
        await model.asked.wait()
        await _talk(conversation, *map(_turn, range(20, 30)))
        # As many turns as fit.
        assert "question 29" in _told(conversation)
        assert "<notes>" not in _told(conversation)
        model.may_answer.set()
        await _summed_up()
    assert "The user talks a lot." in _told(conversation)


async def test_a_turn_that_comes_while_notes_are_made_is_not_lost(name: str, model: Model) -> None:
    model.may_answer.clear()
    here, there = await _opened(name), await _opened(name)
    await _talk(here, *map(_turn, range(12)))
    await model.asked.wait()
    await there.refresh()
    await _talk(there, _turn(12), _turn(13))
    model.may_answer.set()
    await _summed_up()
    seen = await _opened(name)
    assert seen.memory.notes == "The user talks a lot."
    assert _ids(seen)[-2:] == ["0012", "0013"]
    records = "".join(request.messages[1].content for request in model.requests)
    summed_up = [f"question {number} " in records for number in range(14)]
    assert summed_up == [f"{number:04}" not in _ids(seen) for number in range(14)]


async def test_two_processes_make_no_notes_at_once(name: str, model: Model) -> None:
    model.may_answer.clear()
    here = await _opened(name)
    await _talk(here, *map(_turn, range(12)))
    others = [await _opened(name) for _ in range(5)]
    await model.asked.wait()
    await asyncio.gather(*(other.sum_up() for other in others))
    assert len(model.requests) == 1
    model.may_answer.set()
    await _summed_up()
    records = [request.messages[1].content for request in model.requests]
    assert all(sum(f"question {number} " in record for record in records) <= 1 for number in range(12))
    assert (await _opened(name)).memory.notes


async def test_notes_of_one_who_took_too_long_are_void(name: str, model: Model) -> None:
    store = Store(name)
    await _talk(await _opened(name), _turn(1), _turn(2))
    assert await store.begin_summary("slow", 0.001)
    await asyncio.sleep(0.01)
    assert await store.begin_summary("fast", 60)
    assert await store.take_notes("slow", 60, "late notes", [_turn(1)]) is None
    taken = await store.take_notes("fast", 60, "notes", [_turn(1)])
    assert taken is not None and (taken.notes, taken.turns) == ("notes", (_turn(2),))
    await store.end_summary("slow")
    assert await store.begin_summary("third", 60) is None
    await store.end_summary("fast")
    assert await store.begin_summary("third", 60)


async def test_notes_on_a_conversation_that_has_expired_do_not_bring_a_part_of_it_back(name: str) -> None:
    store = Store(name)
    await _talk(await _opened(name), _turn(1), _turn(2))
    assert await store.begin_summary("mine", 60)
    await redis.client().delete(f"llm:memory:{{{name}}}")
    assert await store.take_notes("mine", 60, "notes", [_turn(1)]) is None
    assert await store.read() is None


async def test_several_processes_add_turns_at_once_and_none_is_lost(name: str, model: Model) -> None:
    processes = [await _opened(name) for _ in range(8)]

    async def talk(process: Conversation, first: int) -> None:
        await _talk(process, *(_turn(first + number, words=2) for number in range(5)))

    await asyncio.gather(*(talk(process, 10 * number) for number, process in enumerate(processes)))
    seen = await _opened(name)
    assert _ids(seen) == sorted(f"{10 * number + offset:04}" for number in range(8) for offset in range(5))


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
    seen = await _opened(name)
    assert seen.memory.notes
    assert 0 < len(seen.memory.turns) < 20
    assert not await redis.client().exists(f"llm:memory:{{{name}}}:summing-up")


@pytest.mark.parametrize("scene", [{"error": "fault"}, {"error": "rejected"}, {"answer": " "}])
async def test_notes_that_fail_cost_nothing_and_are_tried_again_after_the_next_turn(
    name: str, monkeypatch: pytest.MonkeyPatch, scene: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    failing = Model(scene)
    monkeypatch.setattr(registry, "build", lambda *_: failing)
    conversation = await _opened(name)
    await _talk(conversation, *map(_turn, range(12)))
    await _summed_up()
    assert failing.requests
    assert "question 11" in _told(conversation)
    asked = len(failing.requests)
    await _talk(conversation, _turn(12))
    await _summed_up()
    assert len(failing.requests) > asked
    assert len(_ids(conversation)) == 13
    assert "word" not in caplog.text
    await registry.aclose()
    monkeypatch.setattr(registry, "build", lambda *_: Model({"answer": "At last."}))
    await _talk(conversation, _turn(13))
    await _summed_up()
    assert conversation.memory.notes == "At last."


async def test_a_fault_of_ours_in_the_background_says_nothing_of_the_texts(
    name: str, settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LLM_CHAINS = {}
    conversation = await _opened(name)
    await _talk(conversation, *map(_turn, range(12)))
    await _summed_up()
    assert "question 11" in _told(conversation)
    assert "KeyError" in caplog.text
    assert "word" not in caplog.text


async def test_another_process_continues_the_conversation(name: str, model: Model) -> None:
    await _talk(await _opened(name), *map(_turn, range(12)))
    await _summed_up()
    seen = await _opened(name, rows=[_turn(99)])
    assert seen.memory.notes
    assert "question 11" in _told(seen)
    assert "question 99" not in _told(seen)


async def test_what_redis_has_is_read_in_one_round_trip(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await _talk(await _opened(name), _turn(1))
    scripts = []
    run = Shared.run

    async def counting(self, script, keys, arguments):
        scripts.append(script)
        return await run(self, script, keys, arguments)

    monkeypatch.setattr(Shared, "run", counting)
    conversation = await _opened(name)
    assert len(scripts) == 1
    await _talk(conversation, _turn(2))
    assert len(scripts) == 2


async def test_what_has_expired_is_loaded_from_rows_and_comes_back_with_the_next_turn(name: str) -> None:
    long_ago = await _opened(name)
    await _talk(long_ago, _turn(1), _turn(2))
    await redis.client().delete(f"llm:memory:{{{name}}}")
    conversation = await _opened(name, rows=[_turn(2), _turn(1), Turn("0003", "not answered", " ")])
    assert _ids(conversation) == ["0001", "0002"]
    await _talk(conversation, _turn(4))
    assert _ids(await _opened(name)) == ["0001", "0002", "0004"]


async def test_who_has_a_conversation_in_memory_brings_it_back_whole(name: str, model: Model) -> None:
    conversation = await _opened(name)
    await _talk(conversation, *map(_turn, range(12)))
    await _summed_up()
    await redis.client().delete(f"llm:memory:{{{name}}}")
    await _talk(conversation, _turn(12))
    seen = await _opened(name)
    assert seen.memory == conversation.memory
    assert seen.memory.notes and _ids(seen)[-1] == "0012"


async def test_a_turn_that_is_in_the_notes_does_not_come_back(name: str, model: Model) -> None:
    stale = await _opened(name)
    await _talk(stale, *map(_turn, range(11)))
    await stale.refresh()
    other = await _opened(name)
    await _talk(other, _turn(11))
    await _summed_up()
    assert "0000" not in _ids(await _opened(name))
    await _talk(stale, _turn(0), _turn(12))
    await _summed_up()
    assert "0000" not in _ids(await _opened(name))


async def test_an_answer_that_is_made_again_takes_the_place_of_the_first(name: str) -> None:
    conversation = await _opened(name)
    await _talk(conversation, Turn("1", "Who?", "first answer"), Turn("1", "Who?", "second answer"))
    assert (await _opened(name)).memory.turns == (Turn("1", "Who?", "second answer"),)
    # A question that is asked of the model again is not told of its own answer.
    assert [message.content for message in conversation.prompt("Who?", "1")][1:] == ["Who?"]


async def test_answers_without_a_word_are_not_remembered(name: str) -> None:
    conversation = await _opened(name)
    await _talk(conversation, Turn("1", "Who?", " \n"))
    assert _ids(conversation) == []
    assert not await redis.client().exists(f"llm:memory:{{{name}}}")


async def test_what_is_kept_is_bounded_and_expires(name: str) -> None:
    conversation = await _opened(name)
    for number in range(MAX_TURNS + 10):
        conversation.add(_turn(number, words=0))
    await conversation.save()
    await _talk(conversation, _turn(900, words=0))
    key = f"llm:memory:{{{name}}}"
    assert await redis.client().hlen(key) == MAX_TURNS + 1
    assert 0 < await redis.client().ttl(key) <= memory_store.TIME_TO_LIVE
    assert _ids(await _opened(name))[-1] == "0900"
    await _summed_up()


async def test_without_redis_a_conversation_goes_on_in_memory_and_from_rows(name: str, away: Shared) -> None:
    conversation = await _opened(name, [_turn(1)], Store(name, away))
    await _talk(conversation, _turn(2))
    assert _ids(conversation) == ["0001", "0002"]
    await conversation.refresh()
    assert _ids(conversation) == ["0001", "0002"]
    await conversation.sum_up()


async def test_what_was_said_while_redis_was_away_is_there_when_it_is_back(
    name: str, away: Shared, model: Model
) -> None:
    conversation = conversations.of(name, _no_rows)
    await conversation.refresh()
    await _talk(conversation, _turn(1))
    reachable, conversation._store = conversation._store, Store(name, away)
    await _talk(conversation, _turn(2))
    assert _ids(await _opened(name)) == ["0001"]
    # Nobody has it open, and still it is not forgotten.
    del conversation
    gc.collect()
    conversation = conversations.of(name, _no_rows)
    conversation._store = reachable
    await conversation.refresh()
    assert _ids(conversation) == ["0001", "0002"]
    await _talk(conversation, _turn(3))
    assert _ids(await _opened(name)) == ["0001", "0002", "0003"]
    del conversation
    gc.collect()
    assert name not in conversations._local().open


async def test_what_is_known_in_part_is_not_taken_for_the_whole(name: str) -> None:
    conversation = Conversation(name, _no_database)
    await conversation.refresh()
    await _talk(conversation, _turn(2))
    assert "question 2" in _told(conversation)
    assert _ids(await _opened(name, rows=[_turn(1)])) == ["0001"]
    conversation._load = lambda: asyncio.sleep(0, [_turn(1)])
    await conversation.save()
    assert _ids(await _opened(name)) == ["0001", "0002"]


async def test_pages_of_one_process_share_their_conversation(name: str) -> None:
    first, second = conversations.of(name, _no_rows), conversations.of(name, _no_rows)
    first.add(_turn(1))
    assert "question 1" in _told(second)
    assert conversations.of(f"{name}:another", _no_rows) is not first


async def test_a_conversation_can_be_forgotten_and_nobody_brings_it_back(name: str, model: Model) -> None:
    mine = conversations.of(name, _no_rows)
    await mine.refresh()
    await _talk(mine, *map(_turn, range(12)))
    elsewhere = await _opened(name)
    model.may_answer.clear()
    making_notes = asyncio.create_task(elsewhere.sum_up())
    await conversations.forget(name)
    model.may_answer.set()
    await making_notes
    assert _ids(mine) == []
    seen = await _opened(name, rows=[_turn(50)])
    assert (seen.memory.notes, seen.memory.turns) == ("", ())
    await _talk(elsewhere, _turn(60))
    assert _ids(await _opened(name)) == ["0060"]


async def test_forgetting_what_cannot_be_reached_is_an_error(name: str, away: Shared) -> None:
    with pytest.raises(Away):
        await Conversation(name, _no_rows, Store(name, away)).forget()


async def test_a_process_makes_few_notes_at_once_and_gives_them_up_when_it_ends(model: Model) -> None:
    model.may_answer.clear()
    several = [await _opened(f"test:{uuid.uuid4()}") for _ in range(conversations.MAX_SUMMARIES + 3)]
    for conversation in several:
        await _talk(conversation, *map(_turn, range(12)))
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
        await _talk(await _opened(name), *map(_turn, range(12)))
        await model.asked.wait()
        (task,) = conversations._local()._summaries.values()
        return task

    assert asyncio.run(talk()).cancelled()
