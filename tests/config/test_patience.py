import asyncio
from collections.abc import AsyncIterator

import pytest

from config.patience import within


class Stubborn:
    """Work that does not end when it is cancelled."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.steps: list[str] = []

    async def run(self) -> None:
        """Wait, and once more when cancelled; fail at the end."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.steps.append("cancelled")
            await self.may_end.wait()
            self.steps.append("ended")
            raise ValueError from None


@pytest.fixture
async def stubborn() -> AsyncIterator[Stubborn]:
    """Such work, which has ended afterwards, and nobody complains that nobody has heard of its error."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    work = Stubborn()
    yield work
    work.may_end.set()
    while "ended" not in work.steps:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert complaints == []


async def test_what_ends_in_time_is_returned_or_raised() -> None:
    assert await within(20, asyncio.sleep(0, "found")) == "found"

    async def fail() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        await within(20, fail())


async def test_what_takes_longer_is_cancelled_and_not_waited_for(stubborn: Stubborn) -> None:
    with pytest.raises(TimeoutError):
        await within(0.01, stubborn.run())
    await asyncio.sleep(0)
    assert stubborn.steps == ["cancelled"]


async def test_who_is_cancelled_does_not_wait_for_it_either(stubborn: Stubborn) -> None:
    waiting = asyncio.create_task(within(20, stubborn.run()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert stubborn.steps == ["cancelled"]
