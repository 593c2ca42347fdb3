"""A Redis that is away, or has lost what it had."""

import asyncio
from uuid import uuid4

import pytest
from django.conf import settings
from redis.exceptions import RedisError

from config import redis
from config.embedded.ports import any_free
from llm.runs import RunLog
from tests.llm.runs.conftest import collect, first, until_stored
from tests.llm.servers.relay import Relay


async def test_a_redis_that_is_away_delays_no_reader_beside_the_writer(run):
    url = f"redis://127.0.0.1:{any_free()}"
    client = redis.connect(url)
    log = RunLog(client, url)
    writer = log.open(run, owner="me")
    reading = log.read(run)
    for seq in range(1, 6):
        writer.write("x")
        async with asyncio.timeout(0.5):
            assert (await anext(reading)).seq == seq
    writer.end("done")
    assert (await anext(reading)).outcome == "done"
    assert not await log.close(writer, seconds=0.05)
    with pytest.raises(RedisError):
        await log.stop(uuid4(), seen=0)
    await log.aclose()
    await client.aclose()


async def test_a_run_is_whole_again_after_redis_has_lost_it(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    await until_stored(there, run, 1)
    await there.client.delete(f"runs:events:{run}", f"runs:state:{run}")
    writer.write("two")
    writer.end("done")
    await until_stored(there, run, 3)
    assert (await collect(there, run))[0] == "one two"


async def test_readers_go_on_after_the_listening_connection_was_lost(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    reading = asyncio.create_task(collect(there, run))
    await until_stored(there, run, 1)
    await asyncio.sleep(0.05)
    await there.client.client_kill_filter(_type="pubsub")
    writer.write("two")
    writer.end("done")
    assert (await reading)[0] == "one two"


async def test_scripts_are_loaded_again_after_redis_has_forgotten_them(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    await until_stored(there, run, 1)
    await there.client.script_flush()
    writer.write("two")
    writer.end("done")
    await until_stored(there, run, 3)
    assert (await there.snapshot(run)).text == "one two"


async def test_a_log_says_whether_it_can_hear_of_runs_that_are_written_elsewhere(run):
    async with Relay(settings.REDIS_URL).listening() as door:
        client = redis.connect(door.url)
        log = RunLog(client, door.url, lease=0.6)
        reading = asyncio.create_task(first(log, run))
        async with asyncio.timeout(20):
            for is_open in (True, False, True):
                door.open = is_open
                while log.is_deaf is is_open:
                    await asyncio.sleep(0.02)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await log.aclose()
        await client.aclose()
