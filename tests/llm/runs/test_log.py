"""Runs that are written, read, resumed and stopped, by several processes over a real Valkey."""

import asyncio
import time
from uuid import uuid4

import pytest

from config import redis
from llm import runs
from llm.runs import Delta, End, RunFull, RunLog, appending, writers
from tests.llm.runs.conftest import collect, first, until_stored


async def test_a_reader_in_the_same_process_gets_each_piece_at_once(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    reading = log.read(run)
    for seq, text in enumerate(["one ", "two ", "three"], start=1):
        writer.write(text)
        assert await anext(reading) == Delta(seq, text)
    writer.end("done", {"provider": "scripted"})
    assert await anext(reading) == End(4, "done", 3, {"provider": "scripted"})
    with pytest.raises(StopAsyncIteration):
        await anext(reading)


async def test_a_run_that_is_read_elsewhere_does_not_wait_as_long_as_one_that_nobody_reads(monkeypatch, processes, run):
    monkeypatch.setattr(appending, "_OTHERS_PER_SECOND", 1 / 60)
    monkeypatch.setattr(appending, "_GATHER", (0.01, 60))
    here, there = await processes(), await processes()
    unread = here.open(uuid4(), owner="me")
    writer = here.open(run, owner="me")
    reading = there.read(run)
    for each in (unread, writer):
        each.write("one ")
        await until_stored(here, each.run, 1)
    assert await anext(reading) == Delta(1, "one ")
    for seq, text in ((2, "two "), (3, "three ")):
        unread.write(text)
        writer.write(text)
        if seq == 2:
            # This append finds that it is read elsewhere.
            here._written(writer, at_once=True)
        assert await asyncio.wait_for(anext(reading), 10) == Delta(seq, text)
    assert (await there.info(unread.run)).seq == 1
    assert await here.close(unread)
    assert (await there.info(unread.run)).seq == 3


async def test_a_reader_who_waits_may_take_a_piece_where_it_is_written(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    writer.write("one ")
    taken: list[Delta] = []

    def take(piece: Delta) -> bool:
        if piece.text.startswith("no"):
            return False
        taken.append(piece)
        return True

    reading = log.read(run, take=take)
    # Who does not wait is behind, and has it yielded.
    assert await anext(reading) == Delta(1, "one ")
    writer.write("two ")
    assert await anext(reading) == Delta(2, "two ")
    following = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    writer.write("three ")
    assert taken == [Delta(3, "three ")]
    # From the first that is not taken on it is behind, until it waits again.
    writer.write("no")
    writer.write("five ")
    assert await following == Delta(5, "nofive ")
    following = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    writer.write("six")
    writer.end("done")
    assert await following == End(7, "done", 6, {})
    assert taken == [Delta(3, "three "), Delta(6, "six")]


async def test_another_process_replays_and_tails(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    writer.write("two ")
    await until_stored(there, run, 2)
    reading = there.read(run)
    assert await anext(reading) == Delta(2, "one two ")
    writer.write("three")
    assert await anext(reading) == Delta(3, "three")
    writer.end("done")
    assert await anext(reading) == End(4, "done", 3, {})


async def test_a_reader_may_come_before_the_writer(processes, run):
    here, there = await processes(), await processes()
    reading = asyncio.create_task(collect(there, run))
    await asyncio.sleep(0.05)
    writer = here.open(run, owner="me")
    writer.write("hello")
    writer.end("done")
    assert (await reading)[0] == "hello"


@pytest.mark.parametrize("after", range(5))
async def test_a_cursor_gets_exactly_what_follows_it(processes, run, after):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    for text in "abcd":
        writer.write(text)
    end = writer.end("done")
    for log in (here, there):
        await until_stored(log, run, 5)
        assert await collect(log, run, after) == ("abcd"[after:], end)


async def test_who_knows_the_end_already_is_told_it_again(processes, run):
    log = await processes()
    end = log.open(run, owner="me").end("error", {"error": "No."})
    assert await first(log, run, after=99) == end


async def test_text_and_cursor_are_read_in_one_step(processes, run):
    here, there = await processes(), await processes()
    assert await there.snapshot(run) == runs.Snapshot("", 0, None)
    writer = here.open(run, owner="me")
    writer.write("one ")
    writer.write("two")
    await until_stored(there, run, 2)
    for log in (here, there):
        snapshot = await log.snapshot(run)
        assert snapshot == runs.Snapshot("one two", 2, None)
    end = writer.end("done")
    await until_stored(there, run, 3)
    assert await there.snapshot(run) == runs.Snapshot("one two", 3, end)


async def test_a_run_says_whose_it_is(processes, run):
    here, there = await processes(), await processes()
    assert await there.info(run) is None
    writer = here.open(run, owner="me")
    assert await here.info(run) == runs.RunInfo("me", 0, False)
    writer.end("done")
    await until_stored(there, run, 1)
    assert await there.info(run) == runs.RunInfo("me", 1, True)


async def test_a_new_text_replaces_the_old_one(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    reading = here.read(run)
    writer.write("half an ")
    assert await anext(reading) == Delta(1, "half an ")
    writer.write("good ", restart=True)
    assert await anext(reading) == Delta(2, "good ", restart=True)
    writer.write("day")
    assert writer.text == "good day"
    writer.end("done")
    await until_stored(there, run, 4)
    assert (await collect(there, run))[0] == "good day"
    assert (await there.snapshot(run)).text == "good day"
    assert await first(there, run, after=1) == Delta(3, "good day", restart=True)
    assert await first(there, run, after=2) == Delta(3, "day")


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_stop_reaches_the_writer_and_keeps_what_was_seen(processes, run, elsewhere):
    here, there = await processes(), await processes()
    told = asyncio.Event()
    writer = here.open(run, owner="me", on_stop=told.set)
    for text in ("one ", "two ", "three "):
        writer.write(text)
    await until_stored(there, run, 3)
    before = time.monotonic()
    assert await (there if elsewhere else here).stop(run, seen=2)
    await asyncio.wait_for(told.wait(), 5)
    assert time.monotonic() - before < 1
    writer.write("late")
    assert writer.text == "one two "
    end = writer.end("stopped")
    assert (end.last, end.seq) == (2, 4)
    await until_stored(there, run, 4)
    assert (await there.snapshot(run)).text == "one two "
    assert not await there.stop(run, seen=1)


async def test_a_stop_that_nobody_heard_is_learned_with_the_next_append(processes, run):
    here, there = await processes(), await processes()
    told = asyncio.Event()
    here._hear = lambda message: None
    writer = here.open(run, owner="me", on_stop=told.set)
    writer.write("one ")
    await until_stored(there, run, 1)
    assert await there.stop(run, seen=1)
    await asyncio.sleep(0.05)
    assert not told.is_set()
    writer.write("two ")
    await asyncio.wait_for(told.wait(), 5)
    assert writer.text == "one "


async def test_what_does_not_exist_cannot_be_stopped(processes, run):
    assert not await (await processes()).stop(run, seen=0)


async def test_somebody_else_may_write_the_end(processes, run):
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me", leased=False)
    writer.write("hello")
    reading = asyncio.create_task(collect(here, run))
    assert await here.close(writer)
    assert await there.end(run, "done", {"stored": True})
    assert not await there.end(run, "done")
    text, end = await reading
    assert (text, end) == ("hello", End(2, "done", 1, {"stored": True}))


async def test_a_run_may_end_before_it_has_text(processes, run):
    here, there = await processes(), await processes()
    assert await here.end(run, "error", {"error": "No model."})
    assert await collect(there, run) == ("", End(1, "error", 0, {"error": "No model."}))


async def test_fast_pieces_are_joined_and_slow_ones_are_not(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    text = "".join(f"{number} " for number in range(2000))
    for number in range(2000):
        writer.write(f"{number} ")
        if not number % 100:
            await asyncio.sleep(0.01)
    writer.end("done")
    assert writers._BURST < writer.feed.last < 100
    assert (await collect(log, run))[0] == text


async def test_what_is_joined_does_not_wait_for_the_next_piece(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    for _ in range(20):
        writer.write("x")
    async with asyncio.timeout(5):
        async for event in log.read(run):
            if event.seq == 11:
                break
    assert writer.text == "x" * 20


async def test_a_slow_reader_costs_no_memory_and_gets_everything_at_once(processes, run, monkeypatch):
    monkeypatch.setattr(writers, "_INTERVAL", 0)
    log = await processes()
    writer = log.open(run, owner="me")
    writer.write("0 ")
    reading = log.read(run)
    await anext(reading)
    for number in range(1, 500):
        writer.write(f"{number} ")
    assert await anext(reading) == Delta(500, "".join(f"{number} " for number in range(1, 500)))
    await reading.aclose()


async def test_an_answer_has_a_greatest_length(processes, run, monkeypatch):
    monkeypatch.setattr(writers, "MAX_CHARACTERS", 10)
    log = await processes()
    writer = log.open(run, owner="me")
    writer.write("12345678")
    with pytest.raises(RunFull):
        writer.write("90abc")
    assert writer.text == "1234567890"
    with pytest.raises(RunFull):
        writer.write("d")
    writer.write("new", restart=True)
    assert writer.text == "new"


async def test_one_connection_listens_however_many_read(processes):
    here, there = await processes(), await processes()
    written = [here.open(uuid4(), owner="me") for _ in range(50)]
    readings = [asyncio.create_task(collect(there, writer.run)) for writer in written for _ in range(4)]
    for writer in written:
        writer.write("hello")
    await asyncio.sleep(0.1)
    clients = await there.client.client_list(_type="pubsub")
    for writer in written:
        writer.end("done")
    assert {text for text, _ in await asyncio.gather(*readings)} == {"hello"}
    assert len(clients) == 2
    assert {client["sub"] for client in clients} == {"1"}
    assert not there._mirrors
    assert not here._writers


async def test_nothing_is_left_behind(processes, run, monkeypatch):
    monkeypatch.setattr(redis, "LINGER", 0.5)
    log = await processes(lease=0.3)
    writer = log.open(run, owner="me")
    writer.write("hello")
    writer.end("done")
    assert await log.close(writer)
    async with asyncio.timeout(10):
        while not log._background.idle:
            await asyncio.sleep(0.05)
    assert 3500 < await log.client.ttl(f"runs:events:{run}") <= 3600
    assert 3500 < await log.client.ttl(f"runs:state:{run}") <= 3600


async def test_each_event_loop_has_a_log_of_its_own():
    assert runs.log() is runs.log()
    other = await asyncio.to_thread(lambda: asyncio.run(_log()))
    assert other is not runs.log()


async def _log() -> RunLog:
    return runs.log()


async def test_what_waits_to_be_joined_with_more_is_there_at_once_when_its_writer_is_done(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    for _ in range(40):
        writer.write("word ")
    writer.flush()
    assert writer.feed.events.text() == "word " * 40
    assert await log.close(writer)
