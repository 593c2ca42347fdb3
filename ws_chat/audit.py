"""The audit log: one row for each run, whatever its end, and not before its end.

A record goes to Redis first and to PostgreSQL then, so that whatever is lost or away in between costs no row. Storing a
run twice stores it once.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from weakref import WeakKeyDictionary

import structlog
from channels.db import database_sync_to_async
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from redis.exceptions import RedisError

from config.observability import correlation, counting, tracing
from llm.timelines import marks
from ws_chat.models import ChatMessage
from ws_chat.records import Record
from ws_chat.register import register

log = structlog.get_logger(__name__)

# Rows in one statement.
_AT_ONCE = 200
# Seconds for which PostgreSQL is left alone after it was found away.
PAUSE = 5.0


class Recorder:
    """The records of this process that have no row yet."""

    def __init__(self) -> None:
        self._due: dict[object, Record] = {}
        self._spans: dict[object, tracing.Span] = {}
        self._recording: asyncio.Task[None] | None = None
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """Whether PostgreSQL was found away just now."""
        return asyncio.get_running_loop().time() < self._away_until

    def put(self, record: Record) -> None:
        """Have a run stored. Waits for nothing."""
        self._due[record.run_id] = record
        if (span := tracing.begin("store", record.trace_id)) is not None:
            self._spans[record.run_id] = span
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(self._record(), name="runs are recorded")

    async def flush(self, seconds: float) -> bool:
        """Wait until no record is in this process alone; returns whether that was so in time."""
        if self._recording is not None:
            await asyncio.wait([self._recording], timeout=seconds)
        return not self._due

    async def _record(self) -> None:
        correlation.forget()
        while self._due:
            records = list(islice(self._due.values(), _AT_ONCE))
            kept = await self._keep(records)
            stored = await self._store(records)
            if not (kept or stored):
                # Nobody else has them.
                await asyncio.sleep(PAUSE / 10)
                continue
            for record in records:
                if self._due.get(record.run_id) is record:
                    del self._due[record.run_id]
                    tracing.end(self._spans.pop(record.run_id, None), "stored" if stored else "kept in Redis")

    async def _keep(self, records: Sequence[Record]) -> bool:
        try:
            await register().keep(records)
        except RedisError as error:
            log.warning("rows of runs wait in memory alone", runs=len(records), error=type(error).__name__)
            return False
        return True

    async def _store(self, records: Sequence[Record]) -> bool:
        if self.away:
            return False
        try:
            with counting.counting() as counted:
                await database_sync_to_async(_insert)(records)
        except (DatabaseError, InterfaceError) as error:
            self._away_until = asyncio.get_running_loop().time() + PAUSE
            log.warning("rows of runs wait, the database is away", runs=len(records), error=type(error).__name__)
            return False
        marks.note_all((record.trace_id for record in records), "stored", counted=counted)
        try:
            await register().recorded(record.run_id for record in records)
        except RedisError:
            # Then somebody stores them once more, which changes nothing.
            log.info("runs stay registered, Redis is away", runs=len(records))
        return True


def _insert(records: Sequence[Record]) -> None:
    try:
        ChatMessage.objects.bulk_create([record.row() for record in records], ignore_conflicts=True)
    except (DataError, IntegrityError):
        for record in records:
            _insert_alone(record)


def _insert_alone(record: Record) -> None:
    """Store what can be stored: one row that cannot must not hold up the others for ever."""
    try:
        ChatMessage.objects.bulk_create([record.row()], ignore_conflicts=True)
    except (DataError, IntegrityError) as error:
        log.error("a run cannot be stored", run=str(record.run_id), error=type(error).__name__)


_recorders: WeakKeyDictionary[asyncio.AbstractEventLoop, Recorder] = WeakKeyDictionary()


def recorder() -> Recorder:
    """Return the recorder of the running event loop."""
    return _recorders.setdefault(asyncio.get_running_loop(), Recorder())
