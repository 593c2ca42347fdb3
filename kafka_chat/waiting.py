"""Waits for what becomes of a question: reads its run, and its row only where the run log does not say.

The run's end carries the answer, so a question whose answer comes while one waits costs no look at the row. It is the
row that counts, though: where Redis is away it is looked at every second, and every now and then in any case, because a
process may have died between the row and the run's end.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from django.db import InterfaceError, OperationalError

from config.serving.silence import or_silence
from kafka_chat import asking
from kafka_chat.models import OPEN
from kafka_chat.states import State, describe
from llm import runs
from llm.runs import Delta, End, Event

log = structlog.get_logger(__name__)

# Seconds of silence after which is looked whether the run log can still tell anything.
TICK = 1.0
# Above every event: who reads from here on is given the end alone.
_ONLY_THE_END = 2**62


@dataclass(frozen=True, slots=True)
class Finished:
    """The question is finished. `seq` and `last` are the run's (see `llm.runs.End`), None where the row told it."""

    state: State
    seq: int | None = None
    last: int | None = None


# None: nothing happened for a while.
Happening: TypeAlias = Delta | Finished | None


async def until_finished(session_id: uuid.UUID, message_id: uuid.UUID, seconds: float) -> State | None:
    """Return where a question stands once it is finished, or after so many seconds; None where it is not theirs."""
    happenings = follow(session_id, message_id, _ONLY_THE_END, seconds=seconds, look_every=seconds)
    async with aclosing(happenings):
        # Reads from the run's beginning on, so an end between this look and the first event is not missed.
        row = await asking.find(session_id, message_id)
        if row is None or row.status not in OPEN:
            return None if row is None else describe(row)
        async for happening in happenings:
            if isinstance(happening, Finished):
                return happening.state
    row = await asking.find(session_id, message_id)
    return None if row is None else describe(row)


async def follow(
    session_id: uuid.UUID, message_id: uuid.UUID, after: int, *, seconds: float, look_every: float
) -> AsyncGenerator[Happening]:
    """Yield what happens to an open question after a number, up to its end, for at most so many seconds.

    The row is looked at every `look_every` seconds, and every second where the run log does not tell.
    """
    now = asyncio.get_running_loop().time
    until, look_at, untold = now() + seconds, now() + look_every, False
    happening = _the_end_of(message_id) if after == _ONLY_THE_END else runs.log().read(message_id, after)
    async with aclosing(_with_ticks(happening, until)) as events:
        async for event in events:
            if isinstance(event, Delta):
                yield event
                continue
            if event is not None and event.data:
                yield Finished(dict(event.data), event.seq, event.last)
                return
            # An end without an answer says only that nobody writes it any more.
            untold = untold or event is not None
            if untold or runs.log().is_deaf or now() >= look_at:
                look_at = now() + look_every
                if (state := await _finished(session_id, message_id)) is not None:
                    yield Finished(state)
                    return
            yield None


async def _finished(session_id: uuid.UUID, message_id: uuid.UUID) -> State | None:
    try:
        row = await asking.find(session_id, message_id)
    except (OperationalError, InterfaceError) as error:
        log.warning("the row cannot be read, waiting on", error=type(error).__name__)
        return None
    return None if row is None or row.status in OPEN else describe(row)


async def _the_end_of(message_id: uuid.UUID) -> AsyncGenerator[Event]:
    yield await runs.log().end_of(message_id)


async def _with_ticks(events: AsyncGenerator[Event], until: float) -> AsyncGenerator[Delta | End | None]:
    """Yield events, and None whenever there was none for a while, until a moment of the loop's clock."""
    now = asyncio.get_running_loop().time
    async with aclosing(or_silence(events, TICK, TICK, until=until)) as parts:
        async for part in parts:
            yield part
    # There are no more of them, but the row may still change.
    while (left := until - now()) > 0:
        await asyncio.sleep(min(TICK, left))
        yield None
