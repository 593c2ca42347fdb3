"""Shared state, and Redis away in each of its ways."""

import asyncio
import time

import pytest

from config.embedded.ports import any_free
from llm import shared_state
from llm.shared_state import Away, Script
from tests.llm.servers.relay import Relay

ECHO = Script("return {KEYS[1], ARGV[1]}")


async def test_a_script_runs_also_where_redis_does_not_know_it_yet(process):
    fresh = Script(f"return ARGV[1] -- {any_free()}")
    for _ in range(2):
        assert await process().run(fresh, [], ["x"]) == b"x"


async def test_a_redis_that_nobody_runs_is_away(process):
    away = process(f"redis://127.0.0.1:{any_free()}/0")
    assert not away.away
    with pytest.raises(Away):
        await away.run(ECHO, ["k"], ["v"])
    assert away.away


async def test_a_script_that_redis_refuses_counts_as_away(process):
    with pytest.raises(Away):
        await process().run(Script("return redis.call('NO SUCH COMMAND')"), [], [])


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_hangs_is_waited_for_once(process, settings, monkeypatch):
    monkeypatch.setattr(shared_state, "FORGET", 60)
    async with Relay(settings.REDIS_URL).listening() as door, asyncio.timeout(5):
        door.open = False
        hanging = process(door.url)
        for _ in range(20):
            with pytest.raises(Away):
                await hanging.run(ECHO, ["k"], ["v"])
        assert door.connections == 1


async def test_who_waits_while_others_are_answered_says_nothing_about_redis(process, settings, monkeypatch):
    async with Relay(settings.REDIS_URL).listening() as door:
        busy = process(door.url)
        door.open = False
        monkeypatch.setattr(shared_state, "PATIENCE", 0.8)
        late = asyncio.create_task(busy.run(ECHO, ["k"], ["late"]))
        while door.connections == 0:
            await asyncio.sleep(0.01)
        # The second connection finds the door open; what the first one asked stays lost.
        await asyncio.sleep(0.1)
        door.open = True
        monkeypatch.setattr(shared_state, "PATIENCE", 5)
        assert await busy.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
        with pytest.raises(Away):
            await late
        assert not busy.away


async def test_a_process_that_was_itself_late_says_nothing_about_redis(process, monkeypatch):
    busy = process()
    assert await busy.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
    monkeypatch.setattr(shared_state, "PATIENCE", 0.2)
    asked = [asyncio.create_task(busy.run(ECHO, ["k"], [n])) for n in range(3)]
    await asyncio.sleep(0)
    time.sleep(0.5)
    assert await asyncio.gather(*asked) == [[b"k", b"%d" % n] for n in range(3)]
    assert not busy.away


async def test_a_burst_waits_for_its_turn(process):
    crowd = process()
    assert await asyncio.gather(*(crowd.run(ECHO, ["k"], [n]) for n in range(1000))) == [
        [b"k", b"%d" % n] for n in range(1000)
    ]


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_comes_back_is_used_again(process, settings, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(shared_state, "FORGET", 0)
    async with Relay(settings.REDIS_URL).listening() as door:
        there = process(door.url)
        assert await there.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
        door.open = False
        for _ in range(2):
            with pytest.raises(Away):
                await there.run(ECHO, ["k"], ["v"])
        door.open = True
        for _ in range(2):
            assert await there.run(ECHO, ["k"], ["v"]) == [b"k", b"v"]
        assert not there.away
    assert caplog.text.count("Redis is away") == 1
    assert caplog.text.count("Redis is back") == 1


async def test_who_asks_at_the_moment_at_which_the_last_round_trip_ends_is_answered(process, monkeypatch):
    monkeypatch.setattr(shared_state, "AT_ONCE", 1)
    steady = process()
    async with asyncio.timeout(30):
        for number in range(20):
            assert await steady.run(ECHO, ["k"], [number]) == [b"k", b"%d" % number]
