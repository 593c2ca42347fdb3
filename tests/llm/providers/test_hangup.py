"""Ending the calls of threads."""

import asyncio

import pytest
import requests

from llm.providers.hangup import Adapter, Call
from tests.llm.servers.ollama import OllamaServer
from tests.llm.servers.wire import Scene


@pytest.fixture
def session():
    with requests.Session() as session:
        session.mount("http://", Adapter(connect=1, silence=5))
        yield session


def read(session: requests.Session, call: Call, url: str) -> bytes:
    call.begin()
    return session.post(url, stream=True).content


async def test_a_call_that_was_ended_before_it_began_sends_nothing(session):
    async with OllamaServer(Scene()).listening() as server:
        call = Call()
        call.hang_up()
        with pytest.raises(requests.ConnectionError):
            await asyncio.to_thread(read, session, call, server.url)
        assert server.exchanges == []


async def test_the_end_of_a_call_wakes_the_thread_that_waits_for_it(session):
    async with OllamaServer(Scene(then="stall")).listening() as server:
        call = Call()
        reading = asyncio.create_task(asyncio.to_thread(read, session, call, server.url))
        while not server.exchanges:
            await asyncio.sleep(0.005)
        call.hang_up()
        async with asyncio.timeout(1):
            with pytest.raises(requests.RequestException):
                await reading


async def test_the_end_of_a_past_call_leaves_the_next_one_on_its_connection_alone(session):
    async with OllamaServer(Scene(pieces=("a", "b"), gated=True)).listening() as server:
        past, present = Call(), Call()
        server.permits.release()
        await asyncio.to_thread(read, session, past, server.url)
        reading = asyncio.create_task(asyncio.to_thread(read, session, present, server.url))
        while len(server.exchanges) < 2:
            await asyncio.sleep(0.005)
        past.hang_up()
        server.permits.release()
        assert b'"done": true' in await reading
        assert server.connections == 1
