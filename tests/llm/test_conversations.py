"""Conversations on a real Valkey, with the scripted provider."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from config import redis
from llm import conversations, memory_store, tokens
from llm.conversations import Conversation
from llm.memory import MAX_TURNS, Turn
from llm.memory_store import Store
from llm.shared_state import Away, Shared
from tests.llm.attentive import Model
from tests.llm.talking import a_turn, add_all, no_rows, notes_made, opened, reminders, turn_ids

pytestmark = pytest.mark.usefixtures("fresh")


SCENES: list[dict[str, object]] = [{"answer": "The user talks a lot."}]


async def _no_database() -> Sequence[Turn]:
    raise OSError("the database is away")


async def test_several_processes_add_turns_at_once_and_none_is_lost(name: str, model: Model) -> None:
    processes = [await opened(name) for _ in range(8)]

    async def talk(process: Conversation, first: int) -> None:
        await add_all(process, *(a_turn(first + number, words=2) for number in range(5)))

    await asyncio.gather(*(talk(process, 10 * number) for number, process in enumerate(processes)))
    seen = await opened(name)
    assert turn_ids(seen) == sorted(f"{10 * number + offset:04}" for number in range(8) for offset in range(5))


async def test_another_process_continues_the_conversation(name: str, model: Model) -> None:
    await add_all(await opened(name), *map(a_turn, range(12)))
    await notes_made()
    seen = await opened(name, rows=[a_turn(99)])
    assert seen.memory.notes
    assert "question 11" in reminders(seen)
    assert "question 99" not in reminders(seen)


async def test_what_redis_has_is_read_in_one_round_trip(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_all(await opened(name), a_turn(1))
    scripts = []
    run = Shared.run

    async def counting(self, script, keys, arguments):
        scripts.append(script)
        return await run(self, script, keys, arguments)

    monkeypatch.setattr(Shared, "run", counting)
    conversation = await opened(name)
    assert len(scripts) == 1
    await add_all(conversation, a_turn(2))
    assert len(scripts) == 2


async def test_what_a_turn_takes_of_the_budget_is_counted_once_for_all_processes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_all(await opened(name), a_turn(1), a_turn(2))
    counted: list[str] = []
    estimate = tokens.estimate

    def noting(text: str) -> int:
        counted.append(text)
        return estimate(text)

    monkeypatch.setattr(tokens, "estimate", noting)
    conversation = await opened(name)
    assert "question 1" in reminders(conversation)
    assert not [text for text in counted if text.startswith(("question", "answer"))]
    assert conversation.memory.turns[0].tokens == a_turn(1).tokens


async def test_turns_that_were_kept_without_their_tokens_are_read(name: str) -> None:
    await add_all(await opened(name), a_turn(1))
    await redis.client().hset(f"llm:memory:{{{name}}}", "turn:0002", '["question 2", "answer 2"]')
    turns = (await opened(name)).memory.turns
    assert turns[1].tokens == Turn("0002", "question 2", "answer 2").tokens > 0


async def test_what_has_expired_is_loaded_from_rows_and_comes_back_with_the_next_turn(name: str) -> None:
    long_ago = await opened(name)
    await add_all(long_ago, a_turn(1), a_turn(2))
    await redis.client().delete(f"llm:memory:{{{name}}}")
    conversation = await opened(name, rows=[a_turn(2), a_turn(1), Turn("0003", "not answered", " ")])
    assert turn_ids(conversation) == ["0001", "0002"]
    await add_all(conversation, a_turn(4))
    assert turn_ids(await opened(name)) == ["0001", "0002", "0004"]


async def test_who_has_a_conversation_in_memory_brings_it_back_whole(name: str, model: Model) -> None:
    conversation = await opened(name)
    await add_all(conversation, *map(a_turn, range(12)))
    await notes_made()
    await redis.client().delete(f"llm:memory:{{{name}}}")
    await add_all(conversation, a_turn(12))
    seen = await opened(name)
    assert seen.memory == conversation.memory
    assert seen.memory.notes and turn_ids(seen)[-1] == "0012"


async def test_an_answer_that_is_made_again_takes_the_place_of_the_first(name: str) -> None:
    conversation = await opened(name)
    await add_all(conversation, Turn("1", "Who?", "first answer"), Turn("1", "Who?", "second answer"))
    assert (await opened(name)).memory.turns == (Turn("1", "Who?", "second answer"),)
    # A question that is asked of the model again is not told of its own answer.
    assert [message.content for message in conversation.prompt("Who?", "1")][1:] == ["Who?"]


async def test_answers_without_a_word_are_not_remembered(name: str) -> None:
    conversation = await opened(name)
    await add_all(conversation, Turn("1", "Who?", " \n"))
    assert turn_ids(conversation) == []
    assert not await redis.client().exists(f"llm:memory:{{{name}}}")


async def test_what_is_kept_is_bounded_and_expires(name: str) -> None:
    conversation = await opened(name)
    for number in range(MAX_TURNS + 10):
        conversation.add(a_turn(number, words=0))
    await conversation.save()
    await add_all(conversation, a_turn(900, words=0))
    key = f"llm:memory:{{{name}}}"
    assert await redis.client().hlen(key) == MAX_TURNS + 1
    assert 0 < await redis.client().ttl(key) <= memory_store.TIME_TO_LIVE
    assert turn_ids(await opened(name))[-1] == "0900"
    await notes_made()


async def test_without_redis_a_conversation_goes_on_in_memory_and_from_rows(name: str, away: Shared) -> None:
    conversation = await opened(name, [a_turn(1)], Store(name, away))
    await add_all(conversation, a_turn(2))
    assert turn_ids(conversation) == ["0001", "0002"]
    await conversation.refresh()
    assert turn_ids(conversation) == ["0001", "0002"]
    await conversation.sum_up()


async def test_what_was_said_while_redis_was_away_is_there_when_it_is_back(
    name: str, away: Shared, model: Model
) -> None:
    conversation = conversations.of(name, no_rows)
    await conversation.refresh()
    await add_all(conversation, a_turn(1))
    reachable, conversation._store = conversation._store, Store(name, away)
    await add_all(conversation, a_turn(2))
    assert turn_ids(await opened(name)) == ["0001"]
    # Nobody has it open, and still it is not forgotten.
    del conversation
    gc.collect()
    conversation = conversations.of(name, no_rows)
    conversation._store = reachable
    await conversation.refresh()
    assert turn_ids(conversation) == ["0001", "0002"]
    await add_all(conversation, a_turn(3))
    assert turn_ids(await opened(name)) == ["0001", "0002", "0003"]
    del conversation
    gc.collect()
    assert name not in conversations._local().open


async def test_what_is_known_in_part_is_not_taken_for_the_whole(name: str) -> None:
    conversation = Conversation(name, _no_database)
    await conversation.refresh()
    await add_all(conversation, a_turn(2))
    assert "question 2" in reminders(conversation)
    assert turn_ids(await opened(name, rows=[a_turn(1)])) == ["0001"]
    conversation._load = lambda: asyncio.sleep(0, [a_turn(1)])
    await conversation.save()
    assert turn_ids(await opened(name)) == ["0001", "0002"]


async def test_pages_of_one_process_share_their_conversation(name: str) -> None:
    first, second = conversations.of(name, no_rows), conversations.of(name, no_rows)
    first.add(a_turn(1))
    assert "question 1" in reminders(second)
    assert conversations.of(f"{name}:another", no_rows) is not first


async def test_a_conversation_can_be_forgotten_and_nobody_brings_it_back(name: str, model: Model) -> None:
    mine = conversations.of(name, no_rows)
    await mine.refresh()
    await add_all(mine, *map(a_turn, range(12)))
    elsewhere = await opened(name)
    model.may_answer.clear()
    making_notes = asyncio.create_task(elsewhere.sum_up())
    await conversations.forget(name)
    model.may_answer.set()
    await making_notes
    assert turn_ids(mine) == []
    seen = await opened(name, rows=[a_turn(50)])
    assert (seen.memory.notes, seen.memory.turns) == ("", ())
    await add_all(elsewhere, a_turn(60))
    assert turn_ids(await opened(name)) == ["0060"]


async def test_forgetting_what_cannot_be_reached_is_an_error(name: str, away: Shared) -> None:
    with pytest.raises(Away):
        await Conversation(name, no_rows, Store(name, away)).forget()
