"""What the run log costs between a model and a socket: `python -m benchmarks.run_log`, about 40 seconds, a real Valkey.

delivery  from the moment a provider yields a piece until the reader has its event: through chain and run log, with
          everything stored beside it. The floor is the same pieces through a bare asyncio.Queue, in the same
          process and at the same time.
resume    from the call of `read` with a cursor in the middle of a run that another process wrote, until the first
          replayed event. The floor is one XRANGE of the same entries on an open connection; both take turns.
"""

import asyncio
import os
import random
import statistics
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

STREAMS = (1, 50, 200)
SECONDS = 6.0
TOKENS_PER_SECOND = 20
RESUMES = 200
RESUMED_EVENTS = 500


def main() -> None:
    """Start Valkey, measure, print the tables."""
    from tests.servers import Servers, forget_settings

    forget_settings()
    servers = Servers("valkey")
    unused = {"DATABASE_URL": "postgres://unused/unused", "KAFKA_BOOTSTRAP_SERVERS": "unused:1", "SECRET_KEY": "unused"}
    os.environ |= servers.settings | unused | {"LLM_CHAT": "scripted", "LLM_SQL": "scripted", "LOG_LEVEL": "ERROR"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    try:
        asyncio.run(_measure())
    finally:
        servers.stop()


async def _measure() -> None:
    print(f"Delivery of one piece, ms ({TOKENS_PER_SECOND} pieces/s in each stream, {SECONDS:g} s)\n")
    _head("streams")
    for streams in STREAMS:
        log: list[float] = []
        floor: list[float] = []
        await asyncio.gather(
            *(_through_the_log(log) for _ in range(streams)), *(_through_a_queue(floor) for _ in range(streams))
        )
        _rows(str(streams), {"run log": log, "bare queue": floor})
    print(f"Resume after {RESUMED_EVENTS // 2} of {RESUMED_EVENTS} events in another process, ms\n")
    _head("")
    resumed, ranged = await _resume()
    _rows("", {"run log": resumed, "bare XRANGE": ranged})


async def _moments() -> AsyncGenerator[float]:
    """Yield the moment, at a steady pace; each stream at a phase of its own."""
    await asyncio.sleep(random.random() / TOKENS_PER_SECOND)
    for _ in range(round(SECONDS * TOKENS_PER_SECOND)):
        await asyncio.sleep(1 / TOKENS_PER_SECOND)
        yield time.perf_counter()


class Clock:
    """A provider whose pieces are the moments at which they were made."""

    name = model = "clock"

    async def stream(self, request: object) -> AsyncGenerator[Any]:
        """Yield the moments."""
        from llm.types import Chunk

        async for moment in _moments():
            yield Chunk(f"{moment} ")
        yield Chunk(finish="stop", provider=self.name, model=self.model)

    async def aclose(self) -> None:
        """Nothing is kept open."""


async def _through_the_log(milliseconds: list[float]) -> None:
    from llm import runs
    from llm.chain import Chain
    from llm.types import Message, Request

    run = uuid4()
    writer = runs.log().open(run, owner="benchmark")

    async def write() -> None:
        chain = Chain([Clock()], first_token_seconds=60, answer_seconds=600)
        async with aclosing(chain.stream(Request((Message("user", ""),)))) as chunks:
            async for chunk in chunks:
                writer.write(chunk.text)
        writer.end("done")

    async def read() -> None:
        async for event in runs.log().read(run):
            if isinstance(event, runs.Delta):
                _note(map(float, event.text.split()), milliseconds)

    await asyncio.gather(write(), read())


async def _through_a_queue(milliseconds: list[float]) -> None:
    queue: asyncio.Queue[float | None] = asyncio.Queue()

    async def write() -> None:
        async for moment in _moments():
            queue.put_nowait(moment)
        queue.put_nowait(None)

    async def read() -> None:
        while (moment := await queue.get()) is not None:
            _note([moment], milliseconds)

    await asyncio.gather(write(), read())


def _note(moments: Iterable[float], milliseconds: list[float]) -> None:
    now = time.perf_counter()
    milliseconds.extend((now - moment) * 1000 for moment in moments)


async def _resume() -> tuple[list[float], list[float]]:
    """Return the milliseconds to the first replayed event, and of a bare read of the same entries."""
    from django.conf import settings

    from config import redis
    from llm.runs import RunLog

    here, there = redis.connect(settings.REDIS_URL), redis.connect(settings.REDIS_URL)
    writing, reading = RunLog(here, settings.REDIS_URL), RunLog(there, settings.REDIS_URL)
    resumed, ranged = [], []
    for _ in range(RESUMES):
        run = await _written(writing)
        began = time.perf_counter()
        async with aclosing(reading.read(run, RESUMED_EVENTS // 2)) as events:
            await anext(events)
            resumed.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await there.xrange(f"runs:events:{run}", f"({RESUMED_EVENTS // 2}-0")
        ranged.append((time.perf_counter() - began) * 1000)
    for log, client in ((writing, here), (reading, there)):
        await log.aclose()
        await client.aclose()
    return resumed, ranged


async def _written(log: Any) -> UUID:
    """Return a run with so many events that another process wrote; a restart is never joined with what came before."""
    run = uuid4()
    writer = log.open(run, owner="benchmark")
    for number in range(RESUMED_EVENTS):
        writer.write(f"word{number} ", restart=True)
    await log.close(writer, seconds=10)
    return run


def _head(label: str) -> None:
    print(f"{label:>8}  {'':<12}{'median':>9}{'p10':>9}{'p90':>9}{'p99':>9}{'times':>8}")


def _rows(label: str, measured: dict[str, list[float]]) -> None:
    for what, milliseconds in measured.items():
        cuts = statistics.quantiles(milliseconds, n=100)
        values = (statistics.median(milliseconds), cuts[9], cuts[89], cuts[98])
        print(f"{label:>8}  {what:<12}" + "".join(f"{value:9.3f}" for value in values) + f"{len(milliseconds):8}")
        label = ""
    ours, floor = (statistics.median(milliseconds) for milliseconds in measured.values())
    print(f"{'':>8}  ratio of the medians {ours / floor:.1f}\n")


if __name__ == "__main__":
    main()
