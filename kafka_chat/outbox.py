"""The transactional outbox: a message is decided with the row it belongs to, and sent afterwards.

A question's row and its outbox entry are written in one transaction, so neither exists without the other. The relay
sends what is there and marks it once the broker has confirmed it. A relay that dies in between sends again: readers
are idempotent. Entries are claimed with SKIP LOCKED and never paged by id, because ids commit out of order.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import psycopg
import structlog
from confluent_kafka import KafkaException
from django.db import connection, connections
from django.db.models import AutoField, Model
from django.utils import timezone
from psycopg.rows import class_row

from config.observability import tracing
from config.observability.counting import Counted
from kafka_chat import clients, listening, topics
from kafka_chat.clients import DeliveryFailed, Publisher
from kafka_chat.messages import Envelope
from kafka_chat.models import OutboxEntry
from kafka_chat.pacing import Pace
from llm.timelines import marks

log = structlog.get_logger(__name__)

CHANNEL = "kf_outbox"
# Entries claimed at once.
BATCH = 200
# Seconds until the relay looks without having been woken: a notification is lost while nobody listens.
LOOK_EVERY = 5.0
# How long sent entries are kept, for looking at.
KEEP_SENT = timedelta(hours=1)

# Claims and marks in one; the mark counts when the transaction ends, which is after the delivery reports.
_CLAIM = """
    UPDATE kf_outbox SET sent_at = now() WHERE id = ANY(ARRAY(
        SELECT id FROM kf_outbox WHERE sent_at IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    )) RETURNING id, topic, key, value, headers
"""
_TAKE_BACK = "UPDATE kf_outbox SET sent_at = NULL WHERE id = ANY(%s)"
_STORE_WITH_ENTRY = "WITH stored AS ({row}), entry AS ({entry}) SELECT pg_notify(%s, '')"


@dataclass(frozen=True, slots=True)
class _Entry:
    id: int
    topic: str
    key: bytes
    value: bytes
    headers: dict[str, str]

    @property
    def trace_id(self) -> UUID:
        return UUID(self.headers["trace_id"])


def add(topic: str, messages: Iterable[Envelope]) -> None:
    """Write entries and wake the relay, both when the surrounding transaction commits."""
    entries = [
        OutboxEntry(topic=topic, key=message.key(), value=message.encode(), headers=message.headers())
        for message in messages
    ]
    if not entries:
        return
    OutboxEntry.objects.bulk_create(entries)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def statement_with(row: Model, topic: str, message: Envelope) -> tuple[str, list[Any]]:
    """Return a statement that inserts a row and the entry that belongs to it, and wakes the relay; and its parameters.

    Its result is one row, which says nothing.
    """
    entry = OutboxEntry(topic=topic, key=message.key(), value=message.encode(), headers=message.headers())
    return _statement_with(type(row)), [*_values(row), *_values(entry), CHANNEL]


@cache
def _statement_with(model: type[Model]) -> str:
    return _STORE_WITH_ENTRY.format(row=_insertion(model), entry=_insertion(OutboxEntry))


def _insertion(model: type[Model]) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in _fields(model))
    places = ", ".join(["%s"] * len(_fields(model)))
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({places})"


def _values(row: Model) -> list[Any]:
    database = connections[connection.alias]
    return [field.get_db_prep_save(field.pre_save(row, add=True), database) for field in _fields(type(row))]


@cache
def _fields(model: type[Model]) -> Sequence[Any]:
    """Return what we store; a number that the database makes is left to it."""
    return [field for field in model._meta.concrete_fields if not isinstance(field, AutoField)]


class Relay:
    """Sends outbox entries. Several may run at once, in one process or in many."""

    def __init__(self, publisher: Publisher, stopping: asyncio.Event) -> None:
        self._publisher = publisher
        self._stopping = stopping
        self._pace = Pace()

    async def run(self) -> None:
        """Send until stopping is set; outlives outages of PostgreSQL and of the broker."""
        wait = 0.5
        while not self._stopping.is_set():
            try:
                async with await listening.connect(CHANNEL) as database:
                    wait = 0.5
                    await self._relay(database)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("PostgreSQL cannot be reached, trying again", error=str(error).strip(), wait_seconds=wait)
                await self._pause(wait)
                wait = min(wait * 2, 10.0)

    async def _relay(self, database: psycopg.AsyncConnection[Any]) -> None:
        while not self._stopping.is_set():
            try:
                while await self._send_batch(database):
                    pass
            except DeliveryFailed as error:
                log.warning("the broker took no message, trying again", error=str(error))
                await self._remake_topics()
                continue
            await self._wait_for_work(database)

    async def _send_batch(self, database: psycopg.AsyncConnection[Any]) -> bool:
        """Send one batch; returns whether there may be more. Raises DeliveryFailed after marking what was sent."""
        await self._pace.wait()
        async with database.transaction(), database.cursor(row_factory=class_row(_Entry)) as cursor:
            await cursor.execute(_CLAIM, [BATCH])
            entries = sorted(await cursor.fetchall(), key=lambda entry: entry.id)
            self._pace.begin(len(entries), asyncio.get_running_loop().time())
            # Started in the order of ids, which keeps the order of each key.
            results = await asyncio.gather(
                *(self._send(entry) for entry in entries),
                return_exceptions=True,
            )
            not_sent = [entry.id for entry, result in zip(entries, results, strict=True) if result is not None]
            if not_sent:
                await cursor.execute(_TAKE_BACK, [not_sent])
        # Those that were not sent are counted when they are.
        marks.note_all(
            (entry.trace_id for entry in entries if entry.id not in not_sent),
            counted=Counted(writes=1),
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(entries) == BATCH

    async def _send(self, entry: _Entry) -> None:
        with tracing.continued(entry.headers.get(tracing.HEADER)), clients.publishing(entry.topic, entry.trace_id):
            headers = entry.headers | tracing.headers(entry.trace_id)
            await self._publisher.send(entry.topic, key=entry.key, value=entry.value, headers=headers)

    async def _wait_for_work(self, database: psycopg.AsyncConnection[Any]) -> None:
        """Return when woken, when stopping, or after `LOOK_EVERY`."""

        async def listen() -> None:
            async for _ in database.notifies(timeout=LOOK_EVERY, stop_after=1):
                pass

        listening = asyncio.create_task(listen())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not listening.done():
            listening.cancel()
        await asyncio.gather(listening, return_exceptions=self._stopping.is_set())

    async def _remake_topics(self) -> None:
        """A broker that lost its memory has lost its topics too."""
        with suppress(KafkaException):
            await asyncio.to_thread(topics.ensure)
        await self._pause(0.5)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def prune() -> int:
    """Delete entries that were sent longer than `KEEP_SENT` ago; returns their number."""
    deleted, _ = OutboxEntry.objects.filter(sent_at__lt=timezone.now() - KEEP_SENT).delete()
    return deleted
