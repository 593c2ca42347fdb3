"""Chains of scripted providers, and of real ones where the wire matters."""

import asyncio
import time
import uuid
from contextlib import aclosing
from dataclasses import replace

import pytest

from llm import chain as chains
from llm import errors
from llm.chain import Chain
from llm.providers.scripted import Scene, Scripted
from llm.types import Call, Chunk, Message, Request, Usage
from tests.llm.providers.peers import OllamaPeer, OpenAIPeer
from tests.llm.servers.wire import Scene as WireScene

QUESTION = Request((Message("user", "Hello?"),))


class Counting(Scripted):
    """Counts how often it is asked, and plays the next scene each time."""

    def __init__(self, name: str, *scenes: dict) -> None:
        super().__init__(name=name)
        self._plays = [Scene.model_validate(scene) for scene in scenes]
        self.asked = 0

    def _scene(self, question: str, *, with_schema: bool) -> Scene:
        self.asked += 1
        return self._plays[min(self.asked, len(self._plays)) - 1]


def chain(*providers, first: float = 5, answer: float = 10) -> Chain:
    return Chain(providers, first_token_seconds=first, answer_seconds=answer)


GOOD = {"answer": "Good day"}
FAULT = {"error": "fault"}


async def test_the_first_provider_answers():
    completion = await chain(Counting("a", GOOD), Counting("b", GOOD)).complete(QUESTION)
    assert (completion.text, completion.provider, completion.model) == ("Good day", "a", "script")
    assert not completion.fallback


async def test_what_no_database_can_store_is_replaced():
    scene = Scene(answer="one\x00 \ud800two")
    assert (await chain(Scripted([scene])).complete(QUESTION)).text == "one\ufffd \ufffdtwo"


async def test_every_chunk_says_who_answers():
    chunks = [chunk async for chunk in chain(Counting("a", GOOD)).stream(QUESTION)]
    assert chunks == [
        Chunk("Good ", provider="a", model="script"),
        Chunk("day", provider="a", model="script"),
        Chunk(finish="stop", usage=Usage(1, 2), provider="a", model="script"),
    ]


@pytest.mark.parametrize(
    "failure", ["unreachable", "timeout", "rate limited", "fault", "broken", "rejected", "too long", "refused"]
)
async def test_the_next_provider_answers_where_the_first_fails_before_its_first_piece(failure):
    completion = await chain(Counting("a", {"error": failure}), Counting("b", GOOD)).complete(QUESTION)
    assert (completion.text, completion.provider, completion.fallback) == ("Good day", "b", True)


async def test_who_breaks_off_in_the_middle_is_not_asked_again():
    first = Counting("a", {"answer": "Half an", "error": "broken"})
    text = ""
    with pytest.raises(errors.BrokenAnswer, match="a: "):
        async for chunk in chain(first).stream(QUESTION):
            text += chunk.text
    assert (text, first.asked) == ("Half an", 1)


async def test_an_answer_that_breaks_off_is_begun_anew_by_the_next_provider():
    first, second = Counting("a", {"answer": "Half an", "error": "broken"}), Counting("b", GOOD)
    chunks = [chunk async for chunk in chain(first, second).stream(QUESTION)]
    assert [(chunk.text, chunk.provider, chunk.fallback, chunk.restart) for chunk in chunks] == [
        ("Half ", "a", False, False),
        ("an", "a", False, False),
        ("Good ", "b", True, True),
        ("day", "b", True, False),
        ("", "b", True, False),
    ]
    completion = await chain(Counting("a", {"answer": "Half an", "error": "broken"}), second).complete(QUESTION)
    assert (completion.text, completion.provider, completion.fallback) == ("Good day", "b", True)


async def test_an_answer_that_nobody_can_begin_anew_ends_with_its_own_failure():
    first = Counting("a", {"answer": "Half an", "error": "broken"})
    with pytest.raises(errors.BrokenAnswer, match="a: "):
        await chain(first, Counting("b", FAULT), Counting("c", {"error": "unreachable"})).complete(QUESTION)


async def test_what_a_safety_filter_cut_is_not_asked_elsewhere():
    second = Counting("b", GOOD)
    with pytest.raises(errors.Refused):
        await chain(Counting("a", {"answer": "Half an", "error": "refused"}), second).complete(QUESTION)
    assert second.asked == 0


class Noting:
    """A breaker that notes what it is told."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.told: list[str] = []

    async def admits(self, provider: str) -> bool:
        return provider not in self.refused

    async def succeeded(self, provider: str) -> None:
        self.told.append(f"{provider} succeeded")

    async def failed(self, provider: str) -> None:
        self.told.append(f"{provider} failed")


def watched(*providers, breaker: Noting | None = None) -> tuple[Chain, list[Call]]:
    calls: list[Call] = []
    made = Chain(
        providers, first_token_seconds=5, answer_seconds=10, purpose="sql", breaker=breaker, record=calls.append
    )
    return made, calls


async def test_a_provider_that_is_not_admitted_is_not_asked():
    first, breaker = Counting("a", GOOD), Noting("a")
    made, calls = watched(first, Counting("b", GOOD), breaker=breaker)
    completion = await made.complete(QUESTION)
    assert (completion.provider, completion.fallback, first.asked) == ("b", True, 0)
    assert breaker.told == ["b succeeded"]
    assert [call.provider for call in calls] == ["b"]


async def test_providers_of_which_none_is_admitted_are_said_at_once():
    made, _ = watched(Counting("a", GOOD), Counting("b", GOOD), breaker=Noting("a", "b"))
    with pytest.raises(errors.NoProviderAnswered) as caught:
        await made.complete(QUESTION)
    assert caught.value.public == errors.CircuitOpen.public


async def test_the_breaker_learns_of_each_failure_that_may_pass():
    breaker = Noting()
    made, _ = watched(Counting("a", FAULT), Counting("b", {"answer": "Half", "error": "broken"}), breaker=breaker)
    with pytest.raises(errors.BrokenAnswer):
        await made.complete(QUESTION)
    assert breaker.told == ["a failed", "a failed", "b succeeded", "b failed"]


@pytest.mark.parametrize(
    ("failure", "told"), [("rejected", []), ("too long", ["a succeeded"]), ("refused", ["a succeeded"])]
)
async def test_failures_that_are_the_questions_do_not_count_against_the_provider(failure, told):
    breaker = Noting()
    made, _ = watched(Counting("a", {"error": failure}), breaker=breaker)
    with pytest.raises(errors.NoProviderAnswered):
        await made.complete(QUESTION)
    assert breaker.told == told


async def test_every_call_is_recorded_with_what_came_of_it():
    made, calls = watched(Counting("a", FAULT), Counting("b", GOOD))
    trace = uuid.uuid4()
    await made.complete(replace(QUESTION, trace_id=trace))
    assert [(call.provider, call.outcome, call.fallback) for call in calls] == [
        ("a", "ProviderFault", False),
        ("a", "ProviderFault", False),
        ("b", "stop", True),
    ]
    assert [(call.prompt_tokens, call.completion_tokens, call.estimated) for call in calls] == [
        (0, 0, True),
        (0, 0, True),
        (1, 2, False),
    ]
    assert {(call.purpose, call.model, call.trace_id) for call in calls} == {("sql", "script", trace)}
    assert calls[0].first_token_seconds is None
    assert 0 <= calls[2].first_token_seconds <= calls[2].total_seconds


async def test_an_answer_that_is_left_in_the_middle_is_recorded_with_an_estimate():
    made, calls = watched(Counting("a", {"answer": "one two three", "token_ms": 50}))
    async with aclosing(made.stream(QUESTION)) as chunks:
        await anext(chunks)
    assert [(call.outcome, call.estimated) for call in calls] == [("left", True)]
    assert calls[0].prompt_tokens > 0
    assert calls[0].completion_tokens > 0


async def test_a_passing_failure_is_tried_once_more_and_is_no_fallback():
    first = Counting("a", FAULT, GOOD)
    completion = await chain(first, Counting("b", GOOD)).complete(QUESTION)
    assert (completion.provider, completion.fallback, first.asked) == ("a", False, 2)


async def test_a_failure_is_tried_no_more_than_twice():
    first = Counting("a", FAULT)
    assert (await chain(first, Counting("b", GOOD)).complete(QUESTION)).provider == "b"
    assert first.asked == 2


@pytest.mark.parametrize("failure", ["rejected", "too long", "refused"])
async def test_a_failure_that_stays_is_not_tried_again(failure):
    first = Counting("a", {"error": failure}, GOOD)
    assert (await chain(first, Counting("b", GOOD)).complete(QUESTION)).provider == "b"
    assert first.asked == 1


async def test_tries_are_spread():
    pauses = {chains._pause_before_retry(errors.ProviderFault("x")) for _ in range(50)}
    assert len(pauses) > 40
    assert all(0.1 <= pause <= 0.4 for pause in pauses)


async def test_a_stated_wait_is_kept_where_there_is_time():
    first = Counting("a", {"error": "rate limited", "retry_after": 0.3}, GOOD)
    started = time.monotonic()
    completion = await chain(first).complete(QUESTION)
    assert completion.provider == "a"
    assert time.monotonic() - started >= 0.3


async def test_a_stated_wait_beyond_the_deadline_is_not_waited_for():
    first = Counting("a", {"error": "rate limited", "retry_after": 60}, GOOD)
    started = time.monotonic()
    assert (await chain(first, Counting("b", GOOD)).complete(QUESTION)).provider == "b"
    assert (first.asked, time.monotonic() - started < 0.5) == (1, True)


async def test_a_silent_provider_leaves_time_for_the_next():
    silent = Counting("a", {"answer": "late", "first_ms": 60_000})
    started = time.monotonic()
    completion = await chain(silent, Counting("b", GOOD), first=0.6).complete(QUESTION)
    assert (completion.provider, completion.fallback, silent.asked) == ("b", True, 1)
    assert 0.3 <= time.monotonic() - started < 0.6


async def test_silence_of_all_ends_within_the_deadline_of_the_first_piece():
    silent = {"answer": "late", "first_ms": 60_000}
    started = time.monotonic()
    with pytest.raises(errors.NoProviderAnswered) as caught:
        await chain(*(Counting(name, silent) for name in "abc"), first=0.6).complete(QUESTION)
    assert 0.55 <= time.monotonic() - started < 0.9
    assert [type(failure) for failure in caught.value.failures] == [errors.TimedOut] * 3
    assert caught.value.public == errors.TimedOut.public


async def test_a_provider_alone_has_the_whole_time_for_its_first_piece():
    assert (
        await chain(Counting("a", {"answer": "late", "first_ms": 400}), first=0.6).complete(QUESTION)
    ).text == "late"


async def test_an_answer_that_has_begun_may_take_longer_than_its_first_piece():
    slow = Counting("a", {"answer": "a b c", "token_ms": 150})
    assert (await chain(slow, first=0.2).complete(QUESTION)).text == "a b c"


async def test_an_answer_that_takes_too_long_is_broken_off():
    endless = Counting("a", {"answer": "word " * 100, "token_ms": 50})
    text = ""
    started = time.monotonic()
    with pytest.raises(errors.TimedOut, match="the answer took too long"):
        async for chunk in chain(endless, Counting("b", GOOD), answer=0.4).stream(QUESTION):
            text += chunk.text
    assert text.startswith("word word")
    assert time.monotonic() - started < 0.8


async def test_all_down_is_said_at_once_in_a_sentence():
    started = time.monotonic()
    with pytest.raises(errors.NoProviderAnswered) as caught:
        await chain(Counting("a", {"error": "unreachable"}), Counting("b", {"error": "rejected"})).complete(QUESTION)
    assert time.monotonic() - started < 1
    assert caught.value.public == "No model can answer right now. Please try again in a few minutes."
    assert str(caught.value) == "a: the script says so; b: the script says so"
    assert caught.value.retryable
    assert caught.value.__context__ is None


async def test_an_empty_chain_says_so():
    with pytest.raises(errors.NoProviderAnswered, match="the chain is empty"):
        await chain().complete(QUESTION)


async def test_a_server_that_dies_before_its_answer_is_replaced_over_the_wire():
    async with (
        OllamaPeer().playing(WireScene(before="hang up")) as (ollama, dying),
        OpenAIPeer().playing(WireScene()) as (openai, _),
    ):
        completion = await chain(ollama, openai).complete(QUESTION)
    assert (completion.text, completion.provider, completion.fallback) == ("Hello there!", "openai", True)
    assert len(dying.exchanges) == 2


@pytest.mark.parametrize("way", ["close", "cancel", "deadline"])
async def test_leaving_an_answer_in_the_middle_reaches_the_server(way):
    async with OllamaPeer().playing(WireScene(pieces=("word ",) * 5, gated=True)) as (provider, server):
        stream = chain(provider, answer=0.2 if way == "deadline" else 10).stream(QUESTION)
        await anext(stream)
        if way == "close":
            await stream.aclose()
        elif way == "cancel":
            task = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            task.cancel()
        else:
            with pytest.raises(errors.TimedOut):
                await anext(stream)
        await asyncio.wait_for(server.exchanges[0].left.wait(), 0.1)


async def test_closing_a_chain_closes_its_providers():
    async with OllamaPeer().playing(WireScene()) as (provider, _):
        await chain(provider).aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await provider._client.list()


async def test_no_text_is_logged(caplog):
    caplog.set_level("DEBUG")
    with pytest.raises(errors.NoProviderAnswered):
        await chain(Counting("a", FAULT)).complete(Request((Message("user", "my secret"),)))
    assert "provider failed" in caplog.text
    assert "my secret" not in caplog.text
