"""Runs whose process is lost, and those that another attempt takes over."""

import asyncio
from uuid import uuid4

import pytest

from llm.runs import RunEnded
from llm.runs.events import ATTEMPT
from tests.llm.runs.conftest import collect, until_stored


async def test_a_lost_process_is_noticed_and_its_run_ended(processes, run):
    lost, here, there = await processes(lease=0.3), await processes(lease=0.3), await processes()
    lost.open(run, owner="me").write("half an ")
    await until_stored(there, run, 1)
    await lost.aclose()
    # Who reads is who reaps.
    text, end = await collect(here, run)
    assert (text, end.outcome, end.last) == ("half an ", "interrupted", 1)
    assert await there.reap() == []


async def test_a_process_that_lives_keeps_its_run_however_long_the_model_is_silent(processes, run):
    here, there = await processes(lease=0.6), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    await until_stored(there, run, 1)
    for _ in range(10):
        await asyncio.sleep(0.1)
        assert await there.reap() == []
    writer.end("done")
    await until_stored(there, run, 2)
    assert await there.client.zscore("runs:alive", str(run)) is None


async def test_a_process_that_was_believed_lost_learns_it_and_writes_nothing_more(processes, run):
    here, there = await processes(), await processes()
    told = asyncio.Event()
    writer = here.open(run, owner="me", on_stop=told.set)
    writer.write("one ")
    reading = asyncio.create_task(collect(here, run))
    await until_stored(there, run, 1)
    # Its heartbeat may come in between, and so may another look for lost runs.
    while not (await there.client.hexists(f"runs:state:{run}", "ended")):
        await there.client.zadd("runs:alive", {str(run): 0})
        await there.reap()
    writer.write("two ")
    await asyncio.wait_for(told.wait(), 5)
    writer.write("three ")
    assert (await there.snapshot(run)).text == "one "
    text, end = await reading
    assert (text.startswith("one "), end.outcome, end.last) == (True, "interrupted", 1)


async def test_another_attempt_replaces_the_text_and_locks_the_first_one_out(processes, run):
    first_try, second_try, there = await processes(), await processes(), await processes()
    told = asyncio.Event()
    old = await first_try.take_over(run, owner="me", on_stop=told.set)
    old.write("half ")
    reading = asyncio.create_task(collect(there, run))
    await until_stored(there, run, 1)
    new = await second_try.take_over(run, owner="me")
    old.write("an answer")
    new.write("good day")
    await asyncio.wait_for(told.wait(), 5)
    assert old.superseded
    new.end("done")
    text, end = await reading
    assert (text, end.seq) == ("good day", ATTEMPT + 2)
    assert (await there.snapshot(run)).text == "good day"


async def test_a_run_that_has_ended_is_not_taken_over(processes, run):
    log = await processes()
    await log.end(run, "done")
    with pytest.raises(RunEnded):
        await log.take_over(run, owner="me")


async def test_a_reader_that_had_more_than_the_store_is_not_confused_by_the_next_attempt(processes, run):
    lost, here = await processes(), await processes()
    writer = await lost.take_over(run, owner="me")
    writer.write("one ")
    await until_stored(here, run, 1)
    new = await here.take_over(run, owner="me")
    for text in ("uno ", "due ", "tre"):
        new.write(text)
    new.end("done")
    # It had seen four pieces from the lost process itself.
    assert (await collect(here, run, after=4))[0] == "uno due tre"


async def test_an_attempt_that_says_nothing_leaves_nothing_of_the_one_before(processes, run):
    lost, here = await processes(), await processes()
    (await lost.take_over(run, owner="me")).write("half ")
    await until_stored(here, run, 1)
    (await here.take_over(run, owner="me")).end("error")
    assert (await collect(lost, run, after=1))[0] == ""
    await until_stored(here, run, ATTEMPT + 2)
    assert (await here.snapshot(run)).text == ""


async def test_an_attempt_that_is_lost_before_it_says_anything_makes_nothing_void(processes, run):
    first_try, second_try, here = await processes(), await processes(), await processes()
    (await first_try.take_over(run, owner="me")).write("half ")
    await until_stored(here, run, 1)
    await second_try.take_over(run, owner="me")
    await here.end(run, "interrupted")
    snapshot = await here.snapshot(run)
    assert (snapshot.text, snapshot.end.last) == ("half ", 1)


async def test_it_is_known_which_runs_are_being_written(processes, run):
    here, there = await processes(), await processes()
    ended, unknown = uuid4(), uuid4()
    here.open(run, owner="me").write("one ")
    here.open(ended, owner="me").end("done")
    await until_stored(there, run, 1)
    await until_stored(there, ended, 1)
    assert await there.alive([run, ended, unknown]) == {run}
    assert await there.alive([]) == set()


async def test_a_run_whose_process_is_lost_counts_as_written_until_it_is_reaped(processes, run):
    lost, there = await processes(lease=0.2), await processes()
    lost.open(run, owner="me").write("one ")
    await until_stored(there, run, 1)
    await lost.aclose()
    assert await there.alive([run]) == {run}
    async with asyncio.timeout(10):
        while run not in await there.reap():
            await asyncio.sleep(0.02)
    assert await there.alive([run]) == set()
