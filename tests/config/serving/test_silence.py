"""Items with a sign where nothing comes."""

import asyncio
from collections.abc import AsyncGenerator

from config.serving.silence import or_silence

SOON, LATE = 0.02, 30.0


async def _items(come: asyncio.Event, closed: list[str]) -> AsyncGenerator[int]:
    try:
        yield 1
        yield 2
        await come.wait()
        yield 3
    finally:
        closed.append("closed")


async def test_items_pass_and_silence_is_said_until_the_next_one_comes() -> None:
    come, closed = asyncio.Event(), list[str]()
    parts = or_silence(_items(come, closed), LATE, SOON)
    assert [await anext(parts) for _ in range(4)] == [1, 2, None, None]
    come.set()
    assert [part async for part in parts if part is not None] == [3]
    assert closed == ["closed"]


async def test_it_ends_at_its_moment_and_closes_the_items() -> None:
    closed = list[str]()
    until = asyncio.get_running_loop().time() + 3 * SOON
    parts = [part async for part in or_silence(_items(asyncio.Event(), closed), LATE, LATE, until=until)]
    assert parts == [1, 2, None]
    assert closed == ["closed"]


async def test_who_leaves_early_closes_the_items() -> None:
    closed = list[str]()
    parts = or_silence(_items(asyncio.Event(), closed), LATE, SOON)
    assert [await anext(parts) for _ in range(3)] == [1, 2, None]
    await parts.aclose()
    assert closed == ["closed"]
