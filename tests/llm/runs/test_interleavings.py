"""Whatever happens in whatever order, no reader misses, repeats or reorders a character.

Processes write, read, die and take over; visitors come, go and come back elsewhere with their cursor. What each visitor
has on the screen is compared with what was written up to their cursor.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llm.runs import End, Event, RunEnded, RunLog, Writer
from llm.runs.events import Delta, Events
from tests.llm.runs.conftest import process, stored, until_stored

PROCESSES = 3
VISITORS = 3

processes = st.integers(0, PROCESSES - 1)
visitors = st.integers(0, VISITORS - 1)
steps = st.one_of(
    st.tuples(st.just("write"), st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), st.integers(1, 15)),
    st.tuples(st.just("restart")),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.0, 0.001, 0.005, 0.03])),
    st.tuples(st.just("come"), visitors, processes),
    st.tuples(st.just("leave"), visitors),
    st.tuples(st.just("stop"), visitors, processes),
    st.tuples(st.just("lose"), st.booleans()),
    st.tuples(st.just("take over"), processes),
    st.tuples(st.just("cut listeners")),
    st.tuples(st.just("end")),
)


@dataclass
class Visitor:
    """What one page shows, and how far it has come."""

    text: str = ""
    cursor: int = 0
    end: End | None = None
    reading: asyncio.Task[None] | None = None

    async def read(self, log: RunLog, run: UUID) -> None:
        async for event in log.read(run, self.cursor):
            if isinstance(event, End):
                self.end = event
                return
            self.text = event.text if event.restart else self.text + event.text
            assert event.seq > self.cursor
            self.cursor = event.seq

    async def leave(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
            self.reading = None


@dataclass
class World:
    """The processes, the visitors, and everything that was ever written."""

    stack: AsyncExitStack
    run: UUID = field(default_factory=uuid4)
    lives: list[AsyncExitStack] = field(default_factory=list)
    logs: list[RunLog] = field(default_factory=list)
    where: list[int | None] = field(default_factory=lambda: [None] * VISITORS)
    visitors: list[Visitor] = field(default_factory=lambda: [Visitor() for _ in range(VISITORS)])
    writer: Writer | None = None
    writing: int = 0
    writers: list[Writer] = field(default_factory=list)
    written: dict[int, Event] = field(default_factory=dict)

    async def begin(self, *, taken_over: bool) -> None:
        for number in range(PROCESSES):
            self.lives.append(AsyncExitStack())
            self.logs.append(await self.lives[number].enter_async_context(process()))
            self.stack.push_async_callback(lambda number=number: self.lives[number].aclose())
        if taken_over:
            await self.take_over(0)
        else:
            self.writer = self.logs[0].open(self.run, owner="me")
            self.writers.append(self.writer)

    def note(self) -> None:
        """Note what all writers have ever written."""
        for writer in self.writers:
            self.written |= {event.seq: event for event in stored(writer.feed.events) if isinstance(event, Delta)}

    async def do(self, step: tuple) -> None:
        match step:
            case "write", text, times:
                for _ in range(times if self.writer else 0):
                    self.writer.write(text)
            case ("restart",):
                if self.writer:
                    self.writer.write("", restart=True)
            case "wait", seconds:
                await asyncio.sleep(seconds)
            case "come", number, place:
                visitor = self.visitors[number]
                await visitor.leave()
                visitor.reading = asyncio.create_task(visitor.read(self.logs[place], self.run))
                self.where[number] = place
            case "leave", number:
                await self.visitors[number].leave()
            case "stop", number, place:
                await self.logs[place].stop(self.run, self.visitors[number].cursor)
            case "lose", reaped:
                await self.lose(reaped)
            case "take over", place:
                await self.take_over(place)
            case ("cut listeners",):
                await self.logs[0].client.client_kill_filter(_type="pubsub")
            case ("end",):
                if self.writer:
                    self.writer.end("done")

    async def lose(self, reaped: bool) -> None:
        """Lose the process that writes, with its visitors' connections and what it had not stored."""
        if self.writer is not None:
            self.writer._cancel_pending()
        for number, visitor in enumerate(self.visitors):
            if self.where[number] == self.writing:
                await visitor.leave()
        await self.lives[self.writing].aclose()
        self.logs[self.writing] = await self.lives[self.writing].enter_async_context(process())
        self.writer = None
        if reaped:
            await self.logs[0].client.zadd("runs:alive", {str(self.run): 0}, xx=True)
            await self.logs[0].reap()

    async def take_over(self, place: int) -> None:
        try:
            self.writer = await self.logs[place].take_over(self.run, owner="me", leased=True)
            self.writers.append(self.writer)
        except RunEnded:
            self.writer = None
        self.writing = place

    async def finish(self) -> End:
        """End the run, whoever can, and bring every visitor to its end."""
        if self.writer is not None and not self.writer.superseded:
            self.writer.end("done")
            await self.logs[self.writing].close(self.writer, seconds=5)
        await self.logs[0].end(self.run, "done")
        for number, visitor in enumerate(self.visitors):
            await visitor.leave()
            async with asyncio.timeout(10):
                await visitor.read(self.logs[number % PROCESSES], self.run)
        end = (await self.logs[0].snapshot(self.run)).end
        assert end is not None
        return end

    def check(self) -> None:
        self.note()
        for visitor in self.visitors:
            seen = [self.written[seq] for seq in sorted(self.written) if seq <= visitor.cursor]
            assert visitor.text == Events(seen).text()


async def play(script: list[tuple]) -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        await world.begin(taken_over=("take over",) in [step[:1] for step in script])
        for step in script:
            await world.do(step)
            world.check()
        end = await world.finish()
        world.check()
        final = (await world.logs[0].snapshot(world.run)).text
        assert final == Events(world.written[seq] for seq in sorted(world.written) if seq <= end.last).text()
        for visitor in world.visitors:
            assert visitor.end == end
            # Who had more than was kept, a new beginning too, because it was stopped or lost, is told by `last`.
            assert visitor.text == final or visitor.cursor > end.last


@given(st.lists(steps, max_size=30))
@example([("write", "0", 1), ("wait", 0.0), ("restart",), ("come", 0, 0), ("take over", 1), ("lose", False)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_reader_misses_repeats_or_reorders_a_character(script: list[tuple]) -> None:
    asyncio.run(asyncio.wait_for(play(script), 30))


def test_two_hundred_visitors_who_come_and_go_all_have_the_whole_text() -> None:
    async def scenario() -> None:
        async with process() as here, process() as there:
            run = uuid4()
            writer = here.open(run, owner="me")
            pages = [Visitor() for _ in range(200)]
            for number, visitor in enumerate(pages):
                visitor.reading = asyncio.create_task(visitor.read(here if number % 2 else there, run))
            for word in range(300):
                writer.write(f"{word} ")
                visitor = pages[word % 200]
                await visitor.leave()
                visitor.reading = asyncio.create_task(visitor.read(there if word % 3 else here, run))
            writer.end("done")
            await until_stored(there, run, writer.feed.last)
            async with asyncio.timeout(20):
                await asyncio.gather(*(visitor.reading for visitor in pages if visitor.reading))
            assert {visitor.text for visitor in pages} == {"".join(f"{word} " for word in range(300))}

    asyncio.run(scenario())
