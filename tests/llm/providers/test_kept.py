"""Connections that are kept for the next question, and that the server closed meanwhile."""

import asyncio

import pytest

from llm import errors
from llm.providers import base
from llm.types import Message, Request
from tests.llm.providers.peers import SILENCE
from tests.llm.servers.wire import Scene

QUESTION = Request((Message("user", "Hi"),), max_tokens=50)


async def test_those_that_were_closed_cost_no_answer(peer):
    async with peer.playing(Scene(answers=1)) as (provider, server):
        for _ in range(3):
            assert (await base.complete(provider, QUESTION)).text == "Hello there!"
            # The server has read the end of the request, and is ready for the next.
            await asyncio.sleep(0.05)
        # Two of the questions were sent twice.
        assert (len(server.exchanges), server.connections) == (5, 3)


async def test_those_that_were_closed_cost_no_answer_though_they_are_many(peer):
    async with peer.playing(Scene(answers=1)) as (provider, _):
        for _ in range(2):
            together = await asyncio.gather(*(base.complete(provider, QUESTION) for _ in range(10)))
            assert {completion.text for completion in together} == {"Hello there!"}


@pytest.mark.parametrize(
    ("scene", "failure"),
    [
        (Scene(before="stall"), errors.TimedOut),
        (Scene(pieces=(), then="cut"), (errors.Unreachable, errors.BrokenAnswer)),
        (Scene(then="cut"), errors.BrokenAnswer),
        (Scene(status=500), errors.ProviderFault),
    ],
    ids=["silence", "cut before the first piece", "cut in the middle", "an error"],
)
async def test_they_are_no_reason_to_ask_again_for_what_else_goes_wrong(peer, scene, failure):
    async with peer.server(Scene()).listening() as server:
        provider = peer.provider(server.url, SILENCE)
        await base.complete(provider, QUESTION)
        await asyncio.sleep(0.05)
        server.scene = scene
        with pytest.raises(failure):
            await base.complete(provider, QUESTION)
        await provider.aclose()
        assert (len(server.exchanges), server.connections) == (2, 1)
