"""Runs whose process was lost, and rows that could not be stored: found by any web process, as long as it runs."""

import asyncio
from weakref import WeakKeyDictionary

import structlog
from redis.exceptions import RedisError

from config.background import Background
from config.serving import draining
from llm import runs
from llm.memory import Turn
from llm.runs import LEASE
from ws_chat import conversation
from ws_chat.audit import recorder
from ws_chat.generating import generations
from ws_chat.models import Status
from ws_chat.records import Record
from ws_chat.register import register

log = structlog.get_logger(__name__)

# Seconds.
EVERY = 5.0
# How often one sweep fetches rows that wait; each time about a hundred.
_ROUNDS = 50


def begin() -> None:
    """Sweep now and again until the process ends, where that has not begun."""
    draining.before_exit(aclose)
    _background().keep_up("sweep", _keep_sweeping)


async def aclose() -> None:
    """Sweep no more."""
    await _background().aclose()


async def _keep_sweeping() -> None:
    while True:
        try:
            await sweep()
        except RedisError as error:
            log.info("not swept, Redis is away", error=type(error).__name__)
        except Exception:
            log.exception("not swept")
        await asyncio.sleep(EVERY)


async def sweep() -> None:
    """Record what has ended without a row, and end what was lost. Raises RedisError."""
    await runs.log().reap()
    begun = [run for run in await register().begun() if generations().find(run) is None]
    alive = await runs.log().alive(begun)
    for record in await register().find([run for run in begun if run not in alive]):
        await _record_lost(record)
    for _ in range(_ROUNDS):
        if recorder().away or not (waiting := await register().ended()):
            return
        for record in waiting:
            recorder().put(record)
        await recorder().flush(EVERY)


async def _record_lost(record: Record) -> None:
    snapshot = await runs.log().snapshot(record.run_id)
    if snapshot.end is None:
        # One that has only just begun is registered here before the run log knows that it lives.
        if record.age < LEASE:
            return
        await runs.log().end(record.run_id, Status.INTERRUPTED.value)
        snapshot = await runs.log().snapshot(record.run_id)
    found = record.told(snapshot)
    log.info("a run without a row was found", run=str(found.run_id), status=found.status)
    recorder().put(found)
    if (turn := conversation.turn_of(found)) is not None:
        await _remember(found, turn)


async def _remember(record: Record, turn: Turn) -> None:
    talk = conversation.of(record.visitor_id)
    await talk.refresh()
    talk.add(turn)
    await talk.save()


_backgrounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Background] = WeakKeyDictionary()


def _background() -> Background:
    return _backgrounds.setdefault(asyncio.get_running_loop(), Background("ws_chat"))
