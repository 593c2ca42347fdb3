"""The OpenAI-compatible provider against the real llama.cpp server with the real small model."""

import asyncio
import json
import os
from collections.abc import AsyncIterator

import pytest

from llm import errors
from llm.providers import base
from llm.providers.openai_compatible import OpenAICompatible
from llm.types import Message, Request
from tests.llm.servers.relay import Relay

pytestmark = pytest.mark.local_model

STORY = Request((Message("user", "Tell me a long story about a lighthouse."),), max_tokens=200, temperature=0)
HELLO = Request((Message("user", "Say hello."),), max_tokens=60, temperature=0)


@pytest.fixture
async def model(local_model_url) -> AsyncIterator[OpenAICompatible]:
    provider = OpenAICompatible(name="local", model="local", base_url=f"{local_model_url}/v1")
    yield provider
    await provider.aclose()


async def test_answers_in_pieces_and_says_how_it_ended(model):
    chunks = [chunk async for chunk in model.stream(HELLO)]
    text = "".join(chunk.text for chunk in chunks)
    assert len(chunks) > 3
    assert "hello" in text.lower()
    assert [chunk.finish for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    end = chunks[-1]
    assert (end.finish, end.provider) == ("stop", "local")
    assert end.usage.prompt_tokens > 5
    assert 3 < end.usage.completion_tokens <= 60
    assert "SmolLM2" in end.model
    assert os.sep not in end.model


async def test_gives_the_same_answer_whole_and_in_pieces(model):
    pieces = [chunk.text async for chunk in model.stream(HELLO)]
    assert (await base.complete(model, HELLO)).text == "".join(pieces)


async def test_stops_at_the_limit(model):
    completion = await base.complete(model, Request(STORY.messages, max_tokens=5, temperature=0))
    assert (completion.finish, completion.usage.completion_tokens) == ("length", 5)


async def test_keeps_to_a_schema(model):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}, "visits": {"type": "integer"}},
        "required": ["city", "visits"],
        "additionalProperties": False,
    }
    question = Request((Message("user", "Where is the Colosseum?"),), temperature=0, answer_schema=schema)
    answer = json.loads((await base.complete(model, question)).text)
    assert answer["city"] in {"Paris", "Rome"}
    assert isinstance(answer["visits"], int)


async def test_answers_several_at_once(model):
    short = Request(HELLO.messages, max_tokens=8)
    completions = await asyncio.gather(*(base.complete(model, short) for _ in range(6)))
    assert all(completion.text for completion in completions)


async def test_says_that_a_conversation_is_too_long(model):
    with pytest.raises(errors.TooLong):
        await base.complete(model, Request((Message("user", "zq xj vk " * 10_000),)))


@pytest.mark.parametrize("way", ["cancel", "close"])
async def test_hangs_up_when_nobody_listens_any_more(local_model_url, way):
    async with Relay(local_model_url).listening() as relay:
        provider = OpenAICompatible(name="local", model="local", base_url=f"{relay.url}/v1")
        stream = provider.stream(STORY)
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in stream:
                begun.set()

        if way == "cancel":
            reading = asyncio.create_task(read())
            await begun.wait()
            started = asyncio.get_running_loop().time()
            reading.cancel()
        else:
            await anext(stream)
            started = asyncio.get_running_loop().time()
            await stream.aclose()
        await asyncio.wait_for(relay.left.wait(), 2)
        assert relay.left_at - started < 0.1
        await provider.aclose()
