"""What all processes know of runs, in Redis: which have begun and have no row yet, and each visitor's latest.

A run is registered beside its answer, never before it: whoever writes here waits for nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from config import redis
from ws_chat.records import Record

log = structlog.get_logger(__name__)

# Runs that are being written, or were when their process was lost: record by run.
_BEGUN = "ws:begun"
# Runs that have ended and have no row yet: record by run.
_ENDED = "ws:ended"
# "visitor run", when one begins.
_STARTED = "ws:started"
# Seconds beyond an answer's deadline for which a visitor's latest run is known.
_REMEMBERED = 60
# Seconds until Redis is tried again, at first and at most.
_AGAIN = (0.05, 2.0)


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
        return [Record.model_validate_json(value) for value in found.values()]

    async def begun(self) -> list[UUID]:
        """Return the runs that are being written, or were when their process was lost."""
        names: Any = redis.client().hkeys(_BEGUN)
        return [UUID(name.decode()) for name in await names]

    async def find(self, runs: Sequence[UUID]) -> list[Record]:
        """Return what was registered of runs that had begun; those without it are left out."""
        if not runs:
            return []
        values: Any = redis.client().hmget(_BEGUN, [str(run) for run in runs])
        return [Record.model_validate_json(value) for value in await values if value is not None]

    async def latest(self, visitors: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
        """Return visitor and run for those of these visitors who have asked lately."""
        if not visitors:
            return []
        found: Any = redis.client().mget([_latest(visitor) for visitor in visitors])
        return [
            (visitor, UUID(run.decode())) for visitor, run in zip(visitors, await found, strict=True) if run is not None
        ]

    async def listen(self, told: Callable[[UUID, UUID], None], visitors: Callable[[], Sequence[UUID]]) -> None:
        """Call `told` with visitor and run for each run that begins anywhere, as long as there are `visitors`.

        Of what began while Redis did not tell us, each visitor's latest run is told.
        """

        async def hear(message: redis.Message) -> None:
            if message["type"] == "subscribe":
                for visitor, run in await self.latest(visitors()):
                    told(visitor, run)
            else:
                visitor_id, run_id = message["data"].decode().split()
                told(UUID(visitor_id), UUID(run_id))

        await redis.listen(settings.REDIS_URL, _STARTED, hear, lambda: bool(visitors()))

    async def _tell(self) -> None:
        """Write what is new, of all runs in one round trip."""
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
