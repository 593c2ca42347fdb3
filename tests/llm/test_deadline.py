"""A deadline for many waits."""

import asyncio

import pytest

from llm.deadline import Deadline


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_what_comes_in_time_is_given_and_what_does_not_is_cancelled() -> None:
    with Deadline(soon(0.05)) as deadline:
        assert await deadline.wait_for(asyncio.sleep(0, "one")) == "one"
        never = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await deadline.wait_for(never)
    assert never.cancelled()
    assert deadline.passed
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_deadline_that_is_moved_is_the_new_one() -> None:
    with Deadline(soon(0.01)) as deadline:
        deadline.move(soon(60))
        await deadline.wait_for(asyncio.sleep(0.05))
        assert not deadline.passed
        deadline.move(soon(0.01))
        with pytest.raises(TimeoutError):
            await deadline.wait_for(asyncio.sleep(60))
        deadline.move(soon(60))
    assert deadline.passed


async def test_nothing_is_cancelled_between_two_waits() -> None:
    with Deadline(soon(0.01)) as deadline:
        await asyncio.sleep(0.05)
    assert deadline.passed


async def test_a_cancellation_from_outside_is_one() -> None:
    async def wait() -> None:
        with Deadline(soon(60)) as deadline:
            await deadline.wait_for(asyncio.sleep(60))

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_wins_over_the_deadline() -> None:
    async def wait() -> None:
        with Deadline(soon(60)) as deadline:
            passing.append(deadline)
            await deadline.wait_for(asyncio.sleep(60))

    passing: list[Deadline] = []
    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    # Both before the task runs again.
    task.cancel()
    passing[0]._pass()
    with pytest.raises(asyncio.CancelledError):
        await task
