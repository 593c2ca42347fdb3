"""The run log of a process: opens runs, serves readers, and keeps both and the store in step.

Whoever reads in the process that writes is given each piece at once, and the store gets it beside that; so a store that
is slow or away delays nobody there. Whoever reads elsewhere is told by the store that there is something new, over one
connection for each process however many runs it follows, and all of it is read in one round trip.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from config import loops, redis
from config.background import Background
from llm.runs.appending import Appender
from llm.runs.events import End, Event, Events, decode_end
from llm.runs.feeds import Ending, Feed, Take
from llm.runs.store import (
    APPENDED,
    ENDED,
    FOLLOWED,
    GONE,
    TAKEN,
    Batch,
    RunInfo,
    Store,
    awaiting,
    channel_of,
    following,
)
from llm.runs.writers import MAX_CHARACTERS, RunFull, Writer

__all__ = ["LEASE", "MAX_CHARACTERS", "RunFull", "RunLog", "Snapshot", "Writer", "log"]

logger = structlog.get_logger(__name__)

# Seconds of silence after which a writer's process counts as lost. It says three times in that time that it lives.
LEASE = 15.0
# Seconds until Redis is tried again, at first and at most.
_AGAIN = (0.05, 2.0)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment: the text, and the cursor from which to read on. `end` is None while it is written."""

    text: str
    seq: int
    end: End | None


class RunLog:
    """The runs that this process writes and reads."""

    def __init__(self, client: redis.Redis, url: str, *, lease: float = LEASE) -> None:
        self._process = uuid.uuid4().hex
        self._background = Background("runs")
        self._store = Store(client, self._background, lease=lease)
        self._appender = Appender(self._store, self._process, self._background, self._answered)
        self._url = url
        self._lease = lease
        self._writers: dict[UUID, Writer] = {}
        # Runs of other processes that are read here.
        self._mirrors: dict[UUID, Feed] = {}
        self._stale: dict[UUID, Feed] = {}
        # Runs whose end is waited for here, and those of them that we must ask about.
        self._endings: dict[UUID, Ending] = {}
        self._unasked: dict[UUID, Ending] = {}
        # Under which keys the store need not tell us any more.
        self._left: set[str] = set()
        # Whether some of our writers may have lost their run.
        self._in_doubt = False
        # Whether Redis tells us what is new, and whether what it told us of could be read.
        self._told, self._reading = False, True

    @property
    def is_deaf(self) -> bool:
        """Whether nothing can be read now of what other processes write: Redis is away, or has only just come back."""
        return not (self._told and self._reading)

    def open(self, run: UUID, *, owner: str, leased: bool = True, on_stop: Callable[[], None] = lambda: None) -> Writer:
        """Return the writer of a new run. Waits for nothing.

        A leased run is ended as interrupted when this process is lost. A run that may have several attempts is taken
        over from the first on: until the store has heard of an opened one, nobody could take it over.
        """
        return self._write(run, owner=owner, leased=leased, base=0, on_stop=on_stop, token=uuid.uuid4().hex)

    async def take_over(
        self, run: UUID, *, owner: str, leased: bool = False, on_stop: Callable[[], None] = lambda: None
    ) -> Writer:
        """Return the writer of another attempt, which replaces what earlier ones wrote; they can write no more.

        Raises RunEnded, and RedisError where Redis is away.
        """
        token = uuid.uuid4().hex
        base = await self._store.take_over(run, writer=token, process=self._process, owner=owner)
        return self._write(run, owner=owner, leased=leased, base=base, on_stop=on_stop, token=token)

    async def read(self, run: UUID, after: int = 0, take: Take | None = None) -> AsyncGenerator[Event]:
        """Yield what follows a number: what there is, then what comes, up to the end.

        Where there is more than one delta they come as one, with the number of the last. A run that does not exist yet
        is waited for, and one that exists no more, too: see `info`. A piece that comes while its reader waits for
        nothing else is offered to `take` first, where it is written; what that took is not yielded.
        """
        while True:
            feed = self._feed(run)
            try:
                with feed.reader(after, take) as reader:
                    while not feed.abandoned:
                        for event in feed.after(reader.cursor):
                            yield event
                            if isinstance(event, End):
                                return
                            reader.cursor = event.seq
                        await reader.told()
                    after = reader.cursor
            finally:
                self._leave_feed(feed)

    async def end_of(self, run: UUID) -> End:
        """Wait for the end of a run, whoever writes it. What comes before the end is neither read nor told here."""
        if run not in self._endings:
            self._endings[run] = self._unasked[run] = Ending(run)
            self._left.discard(awaiting(run))
            self._keep_reading()
        ending = self._endings[run]
        try:
            return await ending.wait()
        finally:
            if not ending.is_waited_for and self._endings.get(run) is ending:
                del self._endings[run]
                if self._unasked.pop(run, None) is None and ending.end is None:
                    self._leave(awaiting(run))

    async def snapshot(self, run: UUID, seen: int | None = None) -> Snapshot:
        """Return text and cursor of a run, read in one step. Raises RedisError.

        Of one that is still written, the text up to the event with the number `seen`, where that is given.
        """
        writer = self._writers.get(run)
        events = writer.feed.events if writer else Events((await self._store.read([(run, 0)]))[0])
        return Snapshot(events.text(events.end.last if events.end else seen), events.last, events.end)

    async def info(self, run: UUID) -> RunInfo | None:
        """Return what is known of a run, None where it does not exist. Raises RedisError."""
        if (writer := self._writers.get(run)) is not None:
            return RunInfo(writer.owner, writer.feed.last, writer.feed.end is not None)
        return await self._store.info(run)

    async def stop(self, run: UUID, seen: int) -> bool:
        """Stop a run, in whatever process it is written, after the delta with the number `seen`.

        Returns False where it is not being written. Raises RedisError.
        """
        if (writer := self._writers.get(run)) is not None:
            going_on = not writer.stopped
            writer.stop(seen)
            return going_on
        return await self._store.stop(run, seen)

    async def end(self, run: UUID, outcome: str, data: Mapping[str, Any] | None = None) -> bool:
        """End a run from outside its writer; returns False where it has ended already. Raises RedisError."""
        return await self._store.end(run, outcome, dict(data or {}))

    async def forget(self, runs: Iterable[UUID]) -> None:
        """Delete runs that have ended, so that each may begin anew. Raises RedisError."""
        await self._store.forget(runs)

    async def alive(self, runs: Iterable[UUID]) -> set[UUID]:
        """Return which of these leased runs are being written; one whose process is lost counts until it is reaped.

        Raises RedisError.
        """
        return await self._store.alive(list(runs))

    async def reap(self) -> list[UUID]:
        """End the leased runs whose process is lost, and return them. Raises RedisError."""
        reaped = await self._store.reap()
        if reaped:
            logger.warning("runs of a lost process were ended", runs=[str(run) for run in reaped])
        return reaped

    async def close(self, writer: Writer, seconds: float = redis.PATIENCE) -> bool:
        """Let go of a writer once the store has what it wrote; returns whether that was so in time."""
        writer.flush()
        self._written(writer, at_once=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not writer.is_settled:
                    writer.settled.clear()
                    await writer.settled.wait()
        self._forget(writer)
        return writer.is_settled

    async def aclose(self) -> None:
        """Stop all that runs in the background."""
        await self._background.aclose()

    def _write(
        self, run: UUID, *, owner: str, leased: bool, base: int, on_stop: Callable[[], None], token: str
    ) -> Writer:
        writer = Writer(run, owner=owner, leased=leased, base=base, on_stop=on_stop, changed=self._written, token=token)
        if (earlier := self._writers.get(run)) is not None:
            self._lost(earlier)
        self._writers[run] = writer
        self._written(writer, at_once=True)
        self._background.keep_up("listen", self._listen)
        self._background.keep_up("tend", self._tend)
        return writer

    # Writing

    def _written(self, writer: Writer, at_once: bool) -> None:
        self._appender.add(writer, len(self._writers), at_once=at_once)

    def _answered(self, writer: Writer, batch: Batch, reply: bytes) -> None:
        if reply == GONE:
            writer.append_again()
            return self._written(writer, at_once=True)
        if reply == TAKEN or (reply == ENDED and writer.feed.end is None):
            return self._lost(writer)
        writer.appended(batch)
        if reply not in (APPENDED, FOLLOWED, ENDED):
            writer.stop(int(reply))
        if writer.feed.end is not None and writer.is_settled:
            self._forget(writer)

    def _forget(self, writer: Writer) -> None:
        """Let go of a writer; who reads on, reads what others write."""
        if self._writers.get(writer.run) is writer:
            del self._writers[writer.run]
            if writer.feed.end is None:
                writer.feed.abandon()

    def _lost(self, writer: Writer) -> None:
        writer.supersede()
        self._forget(writer)

    # Reading

    def _feed(self, run: UUID) -> Feed:
        if (writer := self._writers.get(run)) is not None:
            return writer.feed
        if run not in self._mirrors:
            self._mirrors[run] = self._stale[run] = Feed(run)
            self._left.discard(following(run))
            self._keep_reading()
        return self._mirrors[run]

    def _keep_reading(self) -> None:
        for name, work in (("listen", self._listen), ("tend", self._tend), ("follow", self._follow)):
            self._background.keep_up(name, work)

    def _leave_feed(self, feed: Feed) -> None:
        if not feed.is_read and self._mirrors.get(feed.run) is feed:
            del self._mirrors[feed.run]
            self._stale.pop(feed.run, None)
            self._leave(following(feed.run))

    def _leave(self, key: str) -> None:
        self._left.add(key)
        self._background.keep_up("follow", self._follow)

    async def _follow(self) -> None:
        """Read what is new, of all runs in one round trip, and be told of what comes."""
        wait = _AGAIN[0]
        while self._stale or self._unasked or self._left:
            stale, self._stale = self._stale, {}
            unasked, self._unasked = self._unasked, {}
            left, self._left = self._left, set()
            feeds = [feed for feed in stale.values() if feed.end is None]
            try:
                cursors = [(feed.run, feed.last) for feed in feeds]
                news, ends = await self._store.follow(cursors, list(unasked), process=self._process, left=left)
            except RedisError as error:
                self._reading = False
                self._stale = {run: feed for run, feed in (stale | self._stale).items() if run in self._mirrors}
                self._unasked = {run: each for run, each in (unasked | self._unasked).items() if run in self._endings}
                logger.warning("runs cannot be read, trying again", error=type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _AGAIN[1])
                continue
            wait, self._reading = _AGAIN[0], True
            for feed, events in zip(feeds, news, strict=True):
                feed.add(events)
            for ending, end in zip(unasked.values(), ends, strict=True):
                if end is not None:
                    ending.tell(end)

    async def _listen(self) -> None:
        """Hear what other processes have to say about runs, while there is anything to hear."""
        await redis.listen(self._url, channel_of(self._process), self._hear, self._is_needed)

    def _hear(self, message: redis.Message) -> None:
        if message["type"] == "subscribe":
            self._told = True
            # Much may have been said before.
            self._look_again()
            self._doubt()
        else:
            run_id, word, *more = message["data"].decode().split(" ", 3)
            self._hear_of(UUID(run_id), word, *more)

    def _hear_of(self, run: UUID, word: str, seq: str = "", content: str = "") -> None:
        if word == "+":
            if run in self._mirrors:
                self._stale[run] = self._mirrors[run]
                self._background.keep_up("follow", self._follow)
        elif word == "=":
            if (ending := self._endings.get(run)) is not None:
                ending.tell(decode_end(int(seq), content))
        elif word == "-":
            # Perhaps it was an earlier writer of this process that lost the run.
            self._doubt()
        elif (writer := self._writers.get(run)) is not None:
            writer.stop(int(word))

    @property
    def _reads(self) -> bool:
        return bool(self._mirrors or self._endings)

    def _is_needed(self) -> bool:
        return bool(self._writers) or self._reads

    async def _tend(self) -> None:
        """Say that our writers are alive, and where we follow others, end those that are not."""
        lingers = redis.lingering(self._is_needed)
        while lingers():
            await self._beat()
            if self._reads:
                with suppress(RedisError):
                    await self.reap()
            # The store may have forgotten to tell us.
            self._look_again()
            await asyncio.sleep(self._lease / 3)

    def _doubt(self) -> None:
        self._in_doubt = True
        self._background.keep_up("make sure", self._make_sure)

    async def _make_sure(self) -> None:
        # A heartbeat that is under way may have looked too early.
        while self._in_doubt:
            self._in_doubt = False
            await self._beat()

    async def _beat(self) -> None:
        """Say that our writers are alive, and learn which of them have lost their run."""
        if not (writers := dict(self._writers)):
            return
        try:
            lost = await self._store.beat({run: writer.token for run, writer in writers.items()})
        except RedisError as error:
            logger.warning("no heartbeat, Redis is away", error=type(error).__name__)
            return
        for run in lost:
            if writers[run].feed.end is None:
                self._lost(writers[run])

    def _look_again(self) -> None:
        if self._reads:
            self._stale |= self._mirrors
            self._unasked |= self._endings
            self._background.keep_up("follow", self._follow)


_logs: dict[asyncio.AbstractEventLoop, RunLog] = {}


def log() -> RunLog:
    """Return the run log of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _logs:
        for closed in [each for each in _logs if each.is_closed()]:
            del _logs[closed]
        _logs[loop] = RunLog(redis.client(), settings.REDIS_URL)
        # Before that client is closed.
        loops.before_close(loop, _logs[loop].aclose)
    return _logs[loop]
