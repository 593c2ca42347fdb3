"""What a browser says it has seen of an answer, and the timeline that is made of it: once for each question.

It is believed within bounds: a visitor reports their own questions alone, of the last hour, with times that grow; the
first report counts. What the servers know they have told each other (`marks`), so a browser cannot say it.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from asgiref.sync import sync_to_async
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llm.models import Call
from llm.timelines import joining, marks
from llm.timelines.joining import Seen
from llm.timelines.marks import Noted
from llm.timelines.models import Chat, Timeline, Transport

# Milliseconds; a question is not waited for any longer.
LONGEST = 60 * 60 * 1000
MOST_RECONNECTS = 1000
# Timelines that are asked for at once: a page of each chat.
MOST = 100
# How often, and after how many seconds, is looked again for the row of a chat that stores when all is said.
_LOOKS = 10
_PAUSE = 0.5

_WAYS = {
    Chat.KAFKA: {Transport.HELD, Transport.PLAIN, Transport.EVENTS},
    Chat.WEBSOCKET: {Transport.WEBSOCKET, Transport.HELD, Transport.EVENTS},
}

Milliseconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]


class Unacceptable(Exception):
    """That cannot have been seen."""


class Unknown(Exception):
    """There is no such question, it is somebody else's, or it is too long ago."""


class Report(BaseModel):
    """What a browser measured: milliseconds since it sent the question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trace: UUID
    transport: Transport
    # When it knew that the question was accepted, when it showed the first text (None: there was none), and the end.
    accepted: Milliseconds
    first: Milliseconds | None
    end: Milliseconds
    # How often it had to begin again to wait.
    reconnects: Annotated[int, Field(ge=0, le=MOST_RECONNECTS, strict=True)]

    @model_validator(mode="after")
    def _grows(self) -> Self:
        times = [time for time in (self.accepted, self.first, self.end) if time is not None]
        if times != sorted(times):
            raise ValueError("times must grow")
        return self


def read(body: bytes) -> Report:
    """Return the report in a request's body; raises Unacceptable."""
    try:
        return Report.model_validate_json(body)
    except ValidationError:
        raise Unacceptable from None


async def record(visitor: UUID, report: Report) -> Timeline:
    """Make a question's timeline, or return the one that was made before.

    Raises Unknown, Unacceptable where the answer cannot have come that way, and RedisError.
    """
    noted = await _noted(visitor, report.trace)
    for _ in range(_LOOKS):
        if "stored" in noted.marks:
            break
        await asyncio.sleep(_PAUSE)
        noted = await _noted(visitor, report.trace)
    if report.transport not in _WAYS[Chat(noted.facts["chat"])]:
        raise Unacceptable
    return await sync_to_async(_store)(visitor, report, noted)


async def _noted(visitor: UUID, trace: UUID) -> Noted:
    noted = await marks.find(trace)
    if noted is None or noted.facts.get("owner") != str(visitor) or "accepted" not in noted.marks:
        raise Unknown
    return noted


def own(visitor: UUID, traces: Sequence[UUID]) -> list[Timeline]:
    """Return a visitor's timelines of these questions, in their order; those that there are not are left out."""
    found = Timeline.objects.filter(visitor_id=visitor).in_bulk(list(traces))
    return [found[trace] for trace in traces if trace in found]


def _store(visitor: UUID, report: Report, noted: Noted) -> Timeline:
    made = _made(visitor, report, noted)
    made.cost = _cost(report.trace)
    Timeline.objects.bulk_create([made], ignore_conflicts=True)
    return Timeline.objects.get(pk=report.trace)


def _made(visitor: UUID, report: Report, noted: Noted) -> Timeline:
    facts = noted.facts
    joined = joining.join(facts["chat"], noted.marks, Seen(report.accepted, report.first, report.end))
    return Timeline(
        trace_id=report.trace,
        visitor_id=visitor,
        chat=facts["chat"],
        transport=report.transport,
        asked_at=noted.marks["accepted"],
        outcome=facts.get("outcome", ""),
        marks={mark: round(milliseconds, 1) for mark, milliseconds in joined.items()},
        accepted_seen_ms=report.accepted,
        first_seen_ms=report.first,
        seen_ms=report.end,
        reconnects=report.reconnects,
        provider=facts.get("provider", ""),
        model=facts.get("model", "")[:128],
        fallback=facts.get("fallback") == "True",
        prompt_tokens=_number(facts.get("prompt_tokens")),
        completion_tokens=_number(facts.get("completion_tokens")),
        reads=noted.counted.reads,
        writes=noted.counted.writes,
        beside_reads=noted.beside.reads,
        beside_writes=noted.beside.writes,
    )


def _cost(trace: UUID) -> Decimal | None:
    """Return what the calls for a question cost; None where none is in the ledger, or one has no price."""
    costs = list(Call.objects.filter(trace_id=trace).values_list("cost", flat=True))
    return None if not costs or None in costs else sum(filter(None, costs), Decimal())


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
