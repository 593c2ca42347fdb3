"""Runs that are written, read, resumed, stopped and lost, by several processes over a real Valkey."""

import asyncio
import time
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from redis.exceptions import RedisError

from config import redis
from config.embedded.ports import any_free
from llm import runs
from llm.runs import Delta, End, RunEnded, RunFull, RunLog, appending, writers
from llm.runs.events import ATTEMPT
from llm.runs.rounds import Rounds
from tests.llm.runs.conftest import collect, first, until_stored
from tests.llm.servers.relay import Relay


@pytest.fixture
def run() -> UUID:
    return uuid4()


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
    await there.client.zadd("runs:alive", {str(run): 0})
    assert await there.reap() == [run]
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


async def test_fast_pieces_are_joined_and_slow_ones_are_not(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    text = "".join(f"{number} " for number in range(2000))
    for number in range(2000):
        writer.write(f"{number} ")
        if not number % 100:
            await asyncio.sleep(0.01)
    writer.end("done")
    assert writers._BURST < len(writer.feed.events) < 100
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
    monkeypatch.setattr(writers, "_RATE", 1e9)
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


async def test_nothing_is_left_behind(processes, run):
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


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each round trip had."""
    sent: list[int] = []
    send = Rounds._send

    async def noting(self, commands):
        sent.append(len(commands))
        return await send(self, commands)

    monkeypatch.setattr(Rounds, "_send", noting)
    return sent


async def test_many_attempts_and_ends_at_once_share_their_round_trips(processes, round_trips):
    log = await processes()
    # Which may have forgotten its scripts.
    await log.take_over(uuid4(), owner="me")
    round_trips.clear()
    ids = [uuid4() for _ in range(100)]
    attempts = await asyncio.gather(*(log.take_over(each, owner="me") for each in ids))
    assert len(attempts) == 100
    assert await asyncio.gather(*(log.end(each, "done") for each in ids)) == [True] * 100
    # With them went what each attempt has to say at first.
    assert len(round_trips) < 10


async def test_who_asks_while_others_are_on_their_way_goes_with_the_next(processes, round_trips):
    log = await processes()
    await log.end(uuid4(), "done")
    round_trips.clear()
    asking = [asyncio.create_task(log.end(uuid4(), "done"))]
    while not round_trips:
        await asyncio.sleep(0)
    asking += [asyncio.create_task(log.end(uuid4(), "done")) for _ in range(50)]
    await asyncio.gather(*asking)
    assert round_trips == [1, 50]


async def test_one_that_cannot_be_done_spoils_no_other_of_the_same_round_trip(processes, run):
    log = await processes()
    await log.end(run, "done")
    other = uuid4()
    refused, writer = await asyncio.gather(
        log.take_over(run, owner="me"), log.take_over(other, owner="me"), return_exceptions=True
    )
    assert isinstance(refused, RunEnded)
    assert writer.run == other


async def test_pieces_of_a_while_are_one_entry_of_the_store_and_still_pieces_to_readers(processes, run, monkeypatch):
    monkeypatch.setattr(appending, "_GATHER", (0.1, 0.1))
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("a")
    # The first one waits for nobody.
    await until_stored(there, run, 1)
    for text in "bcdef":
        writer.write(text)
    writer.write("g", restart=True)
    for text in "hi":
        writer.write(text)
    await until_stored(there, run, 9)
    kinds = [list(fields) for _, fields in await there.client.xrange(f"runs:events:{run}")]
    assert kinds == [[b"d"], [b"m"], [b"r"], [b"m"]]
    assert (await there.snapshot(run, seen=4)).text == "abcd"
    assert await first(there, run, after=8) == Delta(9, "i")
    assert await first(there, run, after=3) == Delta(9, "ghi", restart=True)
    end = writer.end("done")
    assert await collect(there, run) == ("ghi", end)


async def test_what_was_appended_twice_is_read_once(processes, run, monkeypatch):
    """The answer of an append was lost, so it is made again, with what came meanwhile."""
    here, there = await processes(), await processes()
    writer = here.open(run, owner="me")
    writer.write("one ")
    await until_stored(there, run, 1)
    monkeypatch.setattr(writer, "appended", lambda batch: None)
    writer.write("two ")
    await until_stored(there, run, 2)
    monkeypatch.undo()
    writer.write("three")
    await until_stored(there, run, 3)
    assert (await there.snapshot(run)).text == "one two three"
    assert await first(there, run, after=1) == Delta(3, "two three")


async def test_who_waits_for_the_end_alone_is_told_of_nothing_else(processes, run, round_trips):
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


async def test_each_event_loop_has_a_log_of_its_own():
    assert runs.log() is runs.log()
    other = await asyncio.to_thread(lambda: asyncio.run(_log()))
    assert other is not runs.log()


async def _log() -> RunLog:
    return runs.log()


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


async def test_what_waits_to_be_joined_with_more_is_there_at_once_when_its_writer_is_done(processes, run):
    log = await processes()
    writer = log.open(run, owner="me")
    for _ in range(40):
        writer.write("word ")
    writer.flush()
    assert "".join(event.text for event in writer.feed.events) == "word " * 40
    assert await log.close(writer)
