"""Processes that share one Valkey: each has a run log and connections of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from config import redis
from llm.runs import Delta, End, Event, RunLog
from llm.runs.events import Events, decode


@asynccontextmanager
async def process(lease: float = 60) -> AsyncIterator[RunLog]:
    """A run log as a process of its own would have it. At the end it is lost, with what it had not stored."""
    client = redis.connect(settings.REDIS_URL)
    log = RunLog(client, settings.REDIS_URL, lease=lease)
    log.client = client
    try:
        yield log
    finally:
        await log.aclose()
        await client.aclose()


@pytest.fixture
def run() -> UUID:
    """A run that nobody has begun."""
    return uuid4()


@pytest.fixture
async def processes() -> AsyncIterator[Callable[..., asyncio.Future[RunLog]]]:
    """Make processes that live as long as the test."""
    async with AsyncExitStack() as stack:
        yield lambda **options: stack.enter_async_context(process(**options))


async def collect(log: RunLog, run, after: int = 0) -> tuple[str, End]:
    """Read a run to its end; return the text and the end."""
    text = ""
    async with asyncio.timeout(10):
        async for event in log.read(run, after):
            if isinstance(event, End):
                return text, event
            text = event.text if event.restart else text + event.text
    raise AssertionError("a run was read without an end")


async def first(log: RunLog, run, after: int = 0) -> Event:
    """Return the first event that a reader gets."""
    async with asyncio.timeout(10):
        async for event in log.read(run, after):
            return event
    raise AssertionError("nothing was read")


async def until_stored(log: RunLog, run, seq: int) -> None:
    """Wait until the store has the event with this number."""
    async with asyncio.timeout(10):
        while (info := await log._store.info(run)) is None or info.seq < seq:
            await asyncio.sleep(0.002)


def stored(events: Events, after: int = 0) -> list[Event]:
    """What the store returns of events that it was given."""
    entries = []
    for seq, kind, content in events.entries(after):
        text = content if isinstance(content, str) else json.dumps(content)
        entries.append((f"{seq}-0".encode(), {kind.encode(): text.encode()}))
    return decode(entries)


__all__ = ["Delta", "End", "collect", "first", "process", "stored", "until_stored"]
