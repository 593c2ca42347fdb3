"""The circuit breaker, shared by several processes through the real Valkey."""

import asyncio
import time
import uuid
from dataclasses import replace
from io import StringIO

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from config import redis
from config.embedded.ports import any_free
from llm import registry, shared_state
from llm.breaker import Breaker, Circuit
from llm.chain import Chain
from llm.providers.openai_compatible import OpenAICompatible
from llm.providers.scripted import Scene, Scripted
from llm.shared_state import Away, Script
from llm.types import Message, Request
from tests.llm.servers.openai import OpenAIServer
from tests.llm.servers.relay import Relay
from tests.llm.servers.wire import Scene as WireScene

QUESTION = Request((Message("user", "Hello?"),))


@pytest.fixture
def provider() -> str:
    """The name of a provider that no other test knows."""
    return f"provider-{uuid.uuid4()}"


@pytest.fixture
def breaker(process):
    """Make a breaker as another process would have it."""

    def make(url: str = "", *, seconds: float = 60, probe_seconds: float = 10) -> Breaker:
        return Breaker(failures=3, seconds=seconds, probe_seconds=probe_seconds, shared=process(url))

    return make


async def later(provider: str, seconds: float) -> None:
    """Let time pass for a circuit: what it has stored moves into the past."""
    key = f"llm:circuit:{provider}"
    for field in (b"open_until", b"probe_until"):
        moment = (await redis.client().hgetall(key)).get(field)
        if moment is not None:
            await redis.client().hset(key, field, int(moment) - round(seconds * 1000))


async def fail(breaker: Breaker, provider: str, times: int = 3) -> None:
    for _ in range(times):
        await breaker.failed(provider)


async def state(breaker: Breaker, provider: str) -> Circuit:
    return (await breaker.states([provider]))[provider]


async def test_who_looks_ahead_shares_a_round_trip_and_need_not_ask_again(process, provider, monkeypatch):
    trips: list[int] = []
    evaluate = shared_state._evaluate

    async def note(client, wanted):
        trips.append(len(wanted))
        return await evaluate(client, wanted)

    monkeypatch.setattr(shared_state, "_evaluate", note)
    shared = process()
    breaker = Breaker(failures=3, seconds=60, probe_seconds=10, shared=shared)
    breaker.look_ahead(provider)
    await shared.run(Script("return 1"), [], [])
    await asyncio.sleep(0)
    assert await breaker.admits(provider)
    assert trips == [2]


async def test_who_looks_ahead_claims_no_probe_and_admits_nobody(breaker, provider):
    one = breaker()
    await fail(one, provider)
    for admitted in (False, True):
        one.look_ahead(provider)
        # Another request of this process: it shares the round trip, or comes after it.
        await one.states([provider])
        await asyncio.sleep(0)
        assert await one.admits(provider) is admitted
        await later(provider, 61)


async def test_failures_in_a_row_open_the_circuit_for_all_processes(breaker, provider):
    one, other = breaker(), breaker()
    await fail(one, provider, 2)
    assert await other.admits(provider)
    assert (await state(other, provider)).state == "closed"
    await fail(other, provider, 1)
    assert not await one.admits(provider)
    assert not await other.admits(provider)
    seen = await state(one, provider)
    assert (seen.state, seen.failures) == ("open", 3)
    assert 0 < seen.seconds_left <= 60


async def test_a_success_in_between_begins_the_count_anew(breaker, provider):
    one, other = breaker(), breaker()
    await fail(one, provider, 2)
    assert await other.admits(provider)
    await other.succeeded(provider)
    await fail(one, provider, 2)
    assert await one.admits(provider)


async def test_one_provider_does_not_close_the_door_to_another(breaker, provider):
    await fail(breaker(), provider)
    assert await breaker().admits(f"{provider}-other")


async def test_half_open_lets_exactly_one_of_many_probe(breaker, provider):
    processes = [breaker() for _ in range(5)]
    await fail(processes[0], provider)
    await later(provider, 60)
    assert (await state(processes[0], provider)).state == "half-open"
    admitted = await asyncio.gather(*(each.admits(provider) for each in processes * 10))
    assert admitted.count(True) == 1
    assert not await breaker().admits(provider)


async def test_a_probe_that_succeeds_closes_the_circuit(breaker, provider):
    one, other = breaker(), breaker()
    await fail(one, provider)
    await later(provider, 60)
    assert await other.admits(provider)
    await other.succeeded(provider)
    assert await state(one, provider) == Circuit("closed")
    assert all(await asyncio.gather(*(one.admits(provider) for _ in range(10))))


async def test_a_probe_that_fails_opens_it_again_for_the_whole_time(breaker, provider):
    one, other = breaker(), breaker()
    await fail(one, provider)
    await later(provider, 60)
    assert await other.admits(provider)
    await other.failed(provider)
    assert (await state(one, provider)).seconds_left > 30
    assert not await one.admits(provider)
    await later(provider, 60)
    assert await one.admits(provider)


async def test_a_probe_that_has_failed_is_over_however_long_it_might_have_taken(breaker, provider):
    one = breaker(seconds=30, probe_seconds=500)
    await fail(one, provider)
    for _ in range(3):
        await later(provider, 30)
        assert await one.admits(provider)
        await one.failed(provider)


async def test_a_probe_whose_process_died_blocks_nobody_for_long(breaker, provider):
    one, other = breaker(probe_seconds=10), breaker(probe_seconds=10)
    await fail(one, provider)
    await later(provider, 60)
    assert await one.admits(provider)
    await later(provider, 9)
    assert not await other.admits(provider)
    await later(provider, 1)
    assert await other.admits(provider)
    assert not await one.admits(provider)


async def test_calls_that_began_before_do_not_keep_it_open_for_longer(breaker, provider):
    one = breaker()
    await fail(one, provider)
    await later(provider, 50)
    await fail(one, provider, 20)
    assert (await state(one, provider)).seconds_left <= 10


async def test_the_time_is_that_of_the_server_and_really_passes(breaker, provider):
    one = breaker(seconds=0.2)
    await fail(one, provider)
    deadline = time.monotonic() + 20
    while not await one.admits(provider):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_what_is_stored_expires(breaker, provider):
    await fail(breaker(), provider)
    assert 0 < await redis.client().pttl(f"llm:circuit:{provider}") <= 600_000


async def test_success_costs_no_word_where_nothing_was_failing(breaker, provider, settings):
    async with Relay(settings.REDIS_URL).listening() as door:
        one = breaker(door.url)
        assert await one.admits(provider)
        door.open = False
        await one.succeeded(provider)
        assert not one._shared.away


async def test_an_operator_closes_it_by_hand(breaker, provider, settings):
    one = breaker()
    settings.LLM_CHAINS = {"chat": (provider,)}
    await fail(one, provider)
    said = StringIO()
    await sync_to_async(call_command)("circuits", stdout=said)
    assert said.getvalue().startswith(f"{provider}: open, failures in a row: 3, probed in ")
    said = StringIO()
    await sync_to_async(call_command)("circuits", close=provider, stdout=said)
    assert said.getvalue() == f"{provider}: closed, failures in a row: 0\n"
    assert await one.admits(provider)


def test_an_operator_is_told_that_redis_is_away(settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
    with pytest.raises(CommandError, match="Redis cannot be reached"):
        call_command("circuits")


@pytest.mark.usefixtures("impatient")
async def test_with_redis_away_every_provider_is_admitted_and_nobody_waits(breaker, provider, settings):
    async with Relay(settings.REDIS_URL).listening() as door:
        door.open = False
        for away in (breaker(f"redis://127.0.0.1:{any_free()}/0"), breaker(door.url)):
            async with asyncio.timeout(5):
                for _ in range(20):
                    await away.failed(provider)
                    assert await away.admits(provider)
                    await away.succeeded(provider)
                    await away.reset(provider)
            with pytest.raises(Away):
                await away.states([provider])


async def test_a_provider_that_is_down_is_left_alone_until_one_probe_finds_it_well(breaker, provider, caplog):
    """The wire shows it: no connection, no request, while the circuit is open."""
    caplog.set_level("INFO")
    good = WireScene()
    async with OpenAIServer(replace(good, status=500)).listening() as server:
        first = OpenAICompatible(name=provider, model="m", base_url=f"{server.url}/v1", api_key="k")
        second = Scripted([Scene(answer="from the fallback")])
        chain = Chain([first, second], first_token_seconds=10, answer_seconds=20, breaker=breaker())
        while (await state(breaker(), provider)).state == "closed":
            assert (await chain.complete(QUESTION)).provider == "scripted"
            assert len(server.exchanges) <= 3
        assert len(server.exchanges) == 3

        connections = server.connections
        answers = await asyncio.gather(*(chain.complete(QUESTION) for _ in range(10)))
        assert {(each.text, each.fallback) for each in answers} == {("from the fallback", True)}
        assert (len(server.exchanges), server.connections) == (3, connections)

        await later(provider, 60)
        server.scene = replace(good, gated=True)
        probe = asyncio.create_task(chain.complete(QUESTION))
        while len(server.exchanges) == 3:
            await asyncio.sleep(0.01)
        server.scene = good
        server.permits.release()
        server.permits.release()
        assert (await probe).provider == provider
        assert await state(breaker(), provider) == Circuit("closed")
        assert (await chain.complete(QUESTION)).provider == provider
        assert len(server.exchanges) == 5
        await first.aclose()
    for transition in ("circuit open", "circuit half-open", "circuit closed"):
        assert caplog.text.count(transition) == 1


async def test_chains_of_the_registry_have_the_breaker_of_the_settings(settings):
    settings.LLM_BREAKER_FAILURES, settings.LLM_CHAINS = 3, {"chat": ("scripted",), "sql": ("scripted",)}
    await registry.aclose()
    operators = Breaker(failures=3, seconds=60, probe_seconds=10)
    try:
        await fail(operators, "scripted")
        for purpose in ("chat", "sql"):
            with pytest.raises(Exception, match="not asked"):
                await registry.chain(purpose).complete(QUESTION)
    finally:
        await operators.reset("scripted")
        await registry.aclose()
