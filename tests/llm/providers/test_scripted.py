"""The scripted provider keeps the contract of the real ones, at an exact pace."""

import asyncio
import json
import time
from contextlib import aclosing

import pytest
from pydantic import ValidationError

from llm import errors
from llm.providers import base, scripted
from llm.providers.scripted import Scene, Scripted
from llm.types import Chunk, Message, Request, Usage


def ask(text: str, **options) -> Request:
    return Request((Message("system", "Be brief."), Message("user", text)), **options)


def scene(**fields) -> Scene:
    return Scene.model_validate(fields)


async def test_plays_the_scene_word_by_word_and_ends_with_one_end_mark():
    provider = Scripted([scene(contains="ping", answer="one  two\nthree ")])
    chunks = [chunk async for chunk in provider.stream(ask("Ping?"))]
    assert [chunk.text for chunk in chunks] == ["one  ", "two\n", "three ", ""]
    assert chunks[-1] == Chunk(finish="stop", usage=Usage(3, 3), provider="scripted", model="script")


async def test_says_that_it_is_no_model_where_no_scene_fits():
    completion = await base.complete(Scripted(), ask("How are you?"))
    assert completion.text == "This is a scripted answer, no model was asked. You said: How are you?"


async def test_takes_the_first_scene_that_fits_the_last_question():
    provider = Scripted([scene(contains="b", answer="first"), scene(contains="b", answer="second")])
    conversation = Request((Message("user", "b"), Message("assistant", "b"), Message("user", "a")))
    assert (await base.complete(provider, ask("B!"))).text == "first"
    assert (await base.complete(provider, conversation)).text.endswith("You said: a")


async def test_can_tell_requests_with_a_schema_apart():
    provider = Scripted([scene(schema=True, answer='{"n": 1}'), scene(schema=False, answer="one")])
    assert json.loads((await base.complete(provider, ask("n", answer_schema={"type": "object"}))).text) == {"n": 1}
    assert (await base.complete(provider, ask("n"))).text == "one"


async def test_stops_at_the_limit():
    completion = await base.complete(Scripted([scene(answer="a b c d")]), ask("x", max_tokens=2))
    assert (completion.text, completion.finish, completion.usage.completion_tokens) == ("a b ", "length", 2)


async def test_keeps_its_pace():
    provider = Scripted([scene(answer="a b c", first_ms=60, token_ms=40)])
    now = asyncio.get_running_loop().time
    started = now()
    times = [now() - started async for chunk in provider.stream(ask("x")) if chunk.text]
    # A schedule: where one word comes late, the next does not.
    assert [time >= due for time, due in zip(times, (0.06, 0.1, 0.14), strict=True)] == [True] * 3


async def test_ends_at_once_when_it_is_cancelled():
    provider = Scripted([scene(answer="a b", token_ms=60_000)])
    task = asyncio.create_task(base.complete(provider, ask("x")))
    await asyncio.sleep(0.02)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert task in done


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("unreachable", errors.Unreachable),
        ("timeout", errors.TimedOut),
        ("rate limited", errors.RateLimited),
        ("fault", errors.ProviderFault),
        ("broken", errors.BrokenAnswer),
        ("rejected", errors.Rejected),
        ("too long", errors.TooLong),
        ("refused", errors.Refused),
    ],
)
async def test_fails_as_the_script_says_after_its_answer(failure, kind):
    provider = Scripted([scene(answer="so far", error=failure)], name="first")
    text = ""
    with pytest.raises(errors.LLMError) as caught:
        async for chunk in provider.stream(ask("x")):
            text += chunk.text
    assert type(caught.value) is kind
    assert str(caught.value) == "first: the script says so"
    assert text == "so far"


async def test_states_the_wait():
    with pytest.raises(errors.RateLimited) as caught:
        await base.complete(Scripted([scene(error="rate limited", retry_after=2)]), ask("x"))
    assert caught.value.retry_after == 2


def test_reads_a_script(tmp_path):
    file = tmp_path / "script.json"
    file.write_text('[{"contains": "a", "answer": "Grüße"}]', encoding="utf-8")
    assert scripted.load(file) == (scene(contains="a", answer="Grüße"),)


@pytest.mark.parametrize(
    "text", ["[", "{}", '[{"anwser": "typo"}]', '[{"error": "unknown"}]', '[{"token_ms": -1}]', b"\xff"]
)
def test_refuses_a_script_that_is_none(tmp_path, text):
    file = tmp_path / "script.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as caught:
        scripted.load(file)
    assert isinstance(caught.value, ValidationError | json.JSONDecodeError | UnicodeDecodeError)


async def test_words_that_are_late_come_together():
    late = Scripted([scene(answer="one two three four", token_ms=20)])
    async with aclosing(late.stream(ask("Go."))) as chunks:
        assert (await anext(chunks)).text == "one "
        time.sleep(0.1)
        turns: list[bool] = []
        asyncio.get_running_loop().call_soon(turns.append, True)
        assert [(await anext(chunks)).text for _ in range(3)] == ["two ", "three ", "four"]
        assert not turns
