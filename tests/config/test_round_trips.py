"""Round trips to Redis on connections that are kept, where something goes wrong with them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings
from redis.exceptions import RedisError, ResponseError

from config import redis, round_trips
from config.round_trips import RoundTrips
from tests.llm.servers.relay import Relay


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[redis.Redis]:
    """Connections of a test's own."""
    client = redis.connect(settings.REDIS_URL)
    yield client
    await client.aclose()


async def test_replies_come_in_order_with_an_error_in_the_place_of_its_command(client):
    said = await RoundTrips(client).make([("ECHO", "a"), ("NO SUCH COMMAND",), ("ECHO", 2)])
    assert (said[0], said[2]) == (b"a", b"2")
    assert isinstance(said[1], ResponseError)


async def test_replies_are_read_as_redis_py_reads_them(client):
    trips = RoundTrips(client)
    add, read = ("XADD", "test:round trips", "1-0", "k", "v"), ("XRANGE", "test:round trips", "-", "+")
    _, entries, _ = await trips.make([add, read, ("DEL", "test:round trips")])
    assert entries == [(b"1-0", {b"k": b"v"})]


async def test_a_burst_waits_for_its_turn(client):
    trips = RoundTrips(client)
    assert await asyncio.gather(*(trips.make([("ECHO", n)]) for n in range(50))) == [[b"%d" % n] for n in range(50)]


async def test_connections_that_were_lost_meanwhile_are_made_again(client):
    trips = RoundTrips(client)
    several = await asyncio.gather(*(trips.make([("CLIENT", "ID")]) for _ in range(3)))
    assert len({number for (number,) in several}) == 3
    await trips.make([("CLIENT", "KILL", "ID", number, "SKIPME", "no") for (number,) in several])
    for _ in range(3):
        assert await trips.make([("ECHO", "still there")]) == [b"still there"]


async def test_silence_says_that_redis_is_away_and_who_asks_later_is_answered(settings, monkeypatch):
    async with Relay(settings.REDIS_URL).listening() as door:
        client = redis.connect(door.url)
        trips = RoundTrips(client)
        assert await trips.make([("ECHO", "before")]) == [b"before"]
        door.open = False
        monkeypatch.setattr(round_trips, "PATIENCE", 0.1)
        with pytest.raises(RedisError):
            await trips.make([("ECHO", "meanwhile")])
        monkeypatch.undo()
        door.open = True
        assert await trips.make([("ECHO", "after")]) == [b"after"]
        await client.aclose()


async def test_who_leaves_takes_no_reply_from_others(client):
    trips = RoundTrips(client)
    leaving = asyncio.create_task(trips.make([("ECHO", "mine")]))
    for _ in range(3):
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert await trips.make([("ECHO", "yours")]) == [b"yours"]
