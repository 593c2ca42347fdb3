"""What all processes know of runs, in Redis: which have begun and have no row yet, and each visitor's latest.

A run is registered beside its answer, never before it: whoever writes here waits for nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from django.conf import settings
from pydantic import ValidationError
from redis.exceptions import RedisError

from config import redis
from config.observability import correlation
from ws_chat.records import Record

log = structlog.get_logger(__name__)

Told: TypeAlias = Callable[[UUID, UUID], None]

# Runs that are being written, or were when their process was lost: record by run.
_BEGUN = "ws:begun"
# Runs that have ended and have no row yet: record by run.
_ENDED = "ws:ended"
# What was in either of them and cannot be read: value by run, and the seconds for which somebody may look at it.
_UNREADABLE = "ws:unreadable"
_LAID_ASIDE = 7 * 24 * 60 * 60
# "visitor run", when one begins, and "visitor id anew", when a visitor begins a new conversation.
_STARTED = "ws:started"
# Seconds beyond an answer's deadline for which a visitor's latest run is known.
_REMEMBERED = 60
# Seconds for which pages that come back are told that their conversation has begun anew; later ones read it with rows.
_ANEW = 24 * 60 * 60
# Seconds until Redis is tried again, at first and at most.
_AGAIN = (0.05, 2.0)


@dataclass(frozen=True, slots=True)
class Latest:
    """A visitor's latest run where that is recent, and after which id the turns of their conversation come."""

    visitor: UUID
    run: UUID | None
    after: UUID | None


class Register:
    """One process's access to it. What waits for Redis raises RedisError."""

    def __init__(self) -> None:
        self._untold: dict[UUID, Record] = {}
        self._unannounced: set[UUID] = set()
        self._telling: asyncio.Task[None] | None = None
        self._round_trip: asyncio.Future[Any] | None = None

    def begin(self, record: Record) -> None:
        """Register a run, and tell the other processes that it has begun. Waits for nothing."""
        self._unannounced.add(record.run_id)
        self.note(record)

    def note(self, record: Record) -> None:
        """Register what is known of a run by now. Waits for nothing."""
        self._untold[record.run_id] = record
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), name="runs are registered")

    async def keep(self, records: Iterable[Record]) -> None:
        """Register that runs have ended, with all that their rows will have."""
        if self._round_trip is not None:
            # What is on its way must not come after this.
            await asyncio.wait([self._round_trip], timeout=redis.PATIENCE)
        ended = {str(record.run_id): record.model_dump_json() for record in records}
        for run in [run for run in self._untold if str(run) in ended]:
            del self._untold[run]
            self._unannounced.discard(run)
        pipeline = redis.client().pipeline(transaction=True)
        pipeline.hset(_ENDED, mapping=ended)
        pipeline.hdel(_BEGUN, *ended)
        await pipeline.execute()

    async def recorded(self, runs: Iterable[UUID]) -> None:
        """Forget runs that have their row."""
        names = [str(run) for run in runs]
        pipeline = redis.client().pipeline(transaction=True)
        pipeline.hdel(_ENDED, *names)
        pipeline.hdel(_BEGUN, *names)
        await pipeline.execute()

    async def ended(self) -> list[Record]:
        """Return some of the runs that have ended and have no row."""
        scan: Any = redis.client().hscan(_ENDED, count=100)
        _, found = await scan
        return await self._read(_ENDED, {name.decode(): value for name, value in found.items()})

    async def begun(self) -> list[UUID]:
        """Return the runs that are being written, or were when their process was lost."""
        names: Any = redis.client().hkeys(_BEGUN)
        return [UUID(name.decode()) for name in await names]

    async def find(self, runs: Sequence[UUID]) -> list[Record]:
        """Return what was registered of runs that had begun; those without it are left out."""
        if not runs:
            return []
        names = [str(run) for run in runs]
        values: Any = redis.client().hmget(_BEGUN, names)
        found = zip(names, await values, strict=True)
        return await self._read(_BEGUN, {name: value for name, value in found if value is not None})

    async def begin_anew(self, visitor: UUID, after: UUID) -> None:
        """Tell all processes that a visitor's conversation consists of the turns after this id alone."""
        pipeline = redis.client().pipeline(transaction=True)
        pipeline.delete(_latest(visitor))
        pipeline.set(_start(visitor), str(after), ex=_ANEW)
        pipeline.publish(_STARTED, f"{visitor} {after} anew")
        await pipeline.execute()

    async def latest(self, visitors: Sequence[UUID]) -> list[Latest]:
        """Return what is known of each of these visitors."""
        if not visitors:
            return []
        names = [name for visitor in visitors for name in (_latest(visitor), _start(visitor))]
        values: Any = redis.client().mget(names)
        found = [None if value is None else UUID(value.decode()) for value in await values]
        return [Latest(*each) for each in zip(visitors, found[::2], found[1::2], strict=True)]

    async def listen(self, told: Told, begun_anew: Told, visitors: Callable[[], Sequence[UUID]]) -> None:
        """Call `told` with visitor and run for each run that begins anywhere, as long as there are `visitors`.

        `begun_anew` is called with visitor and id where a visitor begins a new conversation. Of what happened while
        Redis did not tell us, each visitor's latest is told.
        """

        async def hear(message: redis.Message) -> None:
            if message["type"] == "subscribe":
                for latest in await self.latest(visitors()):
                    if latest.after is not None:
                        begun_anew(latest.visitor, latest.after)
                    if latest.run is not None:
                        told(latest.visitor, latest.run)
                return
            visitor_id, some_id, *anew = message["data"].decode().split()
            (begun_anew if anew else told)(UUID(visitor_id), UUID(some_id))

        await redis.listen(settings.REDIS_URL, _STARTED, hear, lambda: bool(visitors()))

    async def _read(self, key: str, values: Mapping[str, bytes]) -> list[Record]:
        """Return the records. One that cannot be read, perhaps of another version, must not hold up the others."""
        records, unreadable = [], {}
        for run, value in values.items():
            try:
                records.append(Record.model_validate_json(value))
            except ValidationError as error:
                # Its message would quote the record.
                log.error("a record of a run cannot be read, it is laid aside", run=run, errors=error.error_count())
                unreadable[run] = value
        if unreadable:
            pipeline = redis.client().pipeline(transaction=True)
            pipeline.hset(_UNREADABLE, mapping=unreadable)
            pipeline.expire(_UNREADABLE, _LAID_ASIDE)
            pipeline.hdel(key, *unreadable)
            await pipeline.execute()
        return records

    async def _tell(self) -> None:
        """Write what is new, of all runs in one round trip."""
        correlation.forget()
        wait = _AGAIN[0]
        while self._untold:
            untold, self._untold = self._untold, {}
            unannounced, self._unannounced = self._unannounced, set()
            pipeline = redis.client().pipeline(transaction=False)
            pipeline.hset(_BEGUN, mapping={str(run): record.model_dump_json() for run, record in untold.items()})
            for record in (untold[run] for run in unannounced):
                seconds = round(settings.LLM_ANSWER_SECONDS + _REMEMBERED)
                pipeline.set(_latest(record.visitor_id), str(record.run_id), ex=seconds)
                pipeline.publish(_STARTED, f"{record.visitor_id} {record.run_id}")
            self._round_trip = asyncio.ensure_future(pipeline.execute())
            try:
                await self._round_trip
                wait = _AGAIN[0]
            except RedisError as error:
                log.warning("runs cannot be registered, trying again", error=type(error).__name__)
                self._untold = untold | self._untold
                self._unannounced |= unannounced
                await asyncio.sleep(wait)
                wait = min(wait * 2, _AGAIN[1])


_registers: WeakKeyDictionary[asyncio.AbstractEventLoop, Register] = WeakKeyDictionary()


def register() -> Register:
    """Return the register as the running event loop's process sees it."""
    return _registers.setdefault(asyncio.get_running_loop(), Register())


def _latest(visitor: UUID) -> str:
    return f"ws:latest:{visitor}"


def _start(visitor: UUID) -> str:
    return f"ws:start:{visitor}"
