"""Who waits for the end of a run alone."""

import asyncio

from llm.runs import End
from tests.llm.runs.conftest import until_stored


async def test_who_waits_for_the_end_alone_is_told_of_nothing_else(processes, run):
    here, there = await processes(), await processes()
    told = []
    hear = there._hear

    def noting(message):
        told.append(message["data"])
        hear(message)

    there._hear = noting
    ends = [asyncio.create_task(there.end_of(run)) for _ in range(3)]
    await asyncio.sleep(0.05)
    writer = here.open(run, owner="me")
    for _ in range(5):
        writer.write("x")
        await asyncio.sleep(0.02)
    await until_stored(here, run, 5)
    # It told of listening and asked once, for all three.
    assert told == [1]
    assert not any(end.done() for end in ends)
    end = writer.end("done", {"answer": "yes: é"})
    assert await asyncio.gather(*ends) == [end] * 3
    assert len(told) == 2
    assert not there._endings
    assert await there.client.exists(f"runs:awaited:{run}") == 0


async def test_an_end_that_is_there_already_is_told_at_once(processes, run):
    here, there = await processes(), await processes()
    await here.end(run, "error", {"error": "No."})
    async with asyncio.timeout(5):
        assert await there.end_of(run) == End(1, "error", 0, {"error": "No."})


async def test_an_end_of_a_lost_process_is_told_by_whoever_waits_for_it(processes, run):
    lost, here = await processes(lease=0.3), await processes(lease=0.3)
    lost.open(run, owner="me").write("half an ")
    await until_stored(here, run, 1)
    await lost.aclose()
    async with asyncio.timeout(5):
        assert (await here.end_of(run)).outcome == "interrupted"


async def test_who_does_not_wait_any_more_is_not_told(processes, run):
    log = await processes()
    leaving, staying = (asyncio.create_task(log.end_of(run)) for _ in range(2))
    await asyncio.sleep(0.05)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert await log.client.smembers(f"runs:awaited:{run}")
    staying.cancel()
    await asyncio.gather(staying, return_exceptions=True)
    async with asyncio.timeout(5):
        while await log.client.smembers(f"runs:awaited:{run}"):
            await asyncio.sleep(0.01)
    assert not log._endings


async def test_an_end_is_told_also_after_the_listening_connection_was_lost(processes, run):
    here, there = await processes(), await processes()
    ending = asyncio.create_task(there.end_of(run))
    await asyncio.sleep(0.05)
    await there.client.client_kill_filter(_type="pubsub")
    await here.end(run, "done")
    async with asyncio.timeout(10):
        assert (await ending).outcome == "done"
