"""What a piece of work has used: every call that was made for it, and no other."""

import asyncio
from contextlib import aclosing

import pytest

from llm import errors, registry
from llm.meter import Meter
from llm.providers.scripted import Scripted
from llm.types import Message, Request

QUESTION = Request((Message("user", "Hello there, friend"),))


@pytest.fixture
async def chain(settings):
    settings.LLM_CHAINS = {"chat": ("scripted",)}
    await registry.aclose()
    yield registry.chain("chat")
    await registry.aclose()


async def test_calls_are_counted_with_prompt_and_answer(chain):
    meter = Meter()
    with meter.running():
        completion = await chain.complete(QUESTION)
    assert meter.tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0
    await chain.complete(QUESTION)
    assert meter.tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_work_at_the_same_time_is_counted_apart_and_what_it_begins_with_it(chain):
    async def work(calls: int) -> int:
        meter = Meter()
        with meter.running():
            await asyncio.gather(*(chain.complete(QUESTION) for _ in range(calls)))
        return meter.tokens

    one, three = await asyncio.gather(work(1), work(3))
    assert three == 3 * one > 0


async def test_a_stopped_answer_counts_as_far_as_it_came(chain):
    meter = Meter()
    with meter.running():
        async with aclosing(chain.stream(Request((Message("user", "word " * 50),)))) as chunks:
            async for _ in chunks:
                break
    whole = Meter()
    with whole.running():
        await chain.complete(Request((Message("user", "word " * 50),)))
    assert 0 < meter.tokens < whole.tokens


async def test_a_provider_that_said_nothing_costs_nothing(chain, monkeypatch):
    async def fail(self, request):
        raise errors.Rejected("no", provider="scripted")
        yield

    monkeypatch.setattr(Scripted, "stream", fail)
    meter = Meter()
    with meter.running(), pytest.raises(errors.LLMError):
        await chain.complete(QUESTION)
    assert meter.tokens == 0
