"""What goes to Redis together."""

import asyncio
from uuid import uuid4

import pytest

from llm.runs import Delta, RunEnded, appending
from llm.runs.rounds import Rounds
from tests.llm.runs.conftest import collect, first, until_stored


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
