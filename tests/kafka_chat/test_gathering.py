"""What many ask for at the same time, done in one go."""

import asyncio
from collections.abc import Sequence

import pytest
from django.db import OperationalError

from kafka_chat.gathering import Gathering


class Work:
    """Doubles numbers, once it is let; refuses negative ones."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.goes.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]


async def test_the_first_goes_at_once_and_those_who_come_meanwhile_go_together() -> None:
    work = Work()
    gathering = Gathering(work)
    first = asyncio.create_task(gathering.ask(1))
    while not work.goes:
        await asyncio.sleep(0)
    others = [asyncio.create_task(gathering.ask(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert work.goes == [[1], [2, 3]]


async def test_one_that_cannot_be_done_costs_no_other() -> None:
    work = Work()
    work.gate.set()
    gathering = Gathering(work)
    results = await asyncio.gather(*map(gathering.ask, (1, -1, 3)), return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (2, ValueError, 6)


async def test_all_are_told_at_once_that_the_database_is_away() -> None:
    work = Work()
    work.gate.set()
    work.error = OperationalError("away")
    gathering = Gathering(work)
    results = await asyncio.gather(*map(gathering.ask, (1, 2, 3)), return_exceptions=True)
    assert [type(result) for result in results] == [OperationalError] * 3
    assert work.goes == [[1, 2, 3]]
    work.error = None
    assert await gathering.ask(4) == 8


async def test_who_has_left_is_not_worked_for() -> None:
    work = Work()
    gathering = Gathering(work)
    first = asyncio.create_task(gathering.ask(1))
    while not work.goes:
        await asyncio.sleep(0)
    leaving = asyncio.create_task(gathering.ask(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    work.gate.set()
    assert await first == 2
    await gathering.aclose()
    assert work.goes == [[1]]


async def test_a_gathering_that_is_cancelled_leaves_nobody_waiting() -> None:
    work = Work()
    gathering = Gathering(work)
    asking = asyncio.create_task(gathering.ask(1))
    while not work.goes:
        await asyncio.sleep(0)
    assert gathering._going is not None
    gathering._going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
