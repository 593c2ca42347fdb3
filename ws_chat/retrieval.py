"""Runs looked up again, by whoever resumes or watches them: in memory, in the run log, in the audit log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from django.db import DatabaseError, InterfaceError
from django.utils.translation import gettext
from redis.exceptions import RedisError

from config.ratings import Rating
from config.serving import at_once
from llm import markdown, runs
from llm.memory import Memory
from llm.runs import Delta, End, RunInfo
from ws_chat import protocol, transcript
from ws_chat.generating import generations
from ws_chat.models import ChatMessage, Status
from ws_chat.records import Asked, Record
from ws_chat.register import Latest, register

log = structlog.get_logger(__name__)


async def info(visitor: UUID, run: UUID) -> RunInfo:
    """Return what is known of a visitor's run. Raises Refused for somebody else's, as for one that does not exist."""
    try:
        found = await runs.log().info(run)
    except RedisError:
        raise protocol.Refused.unavailable(run) from None
    if found is None or found.owner != str(visitor):
        raise protocol.Refused.unknown_run(run)
    return found


async def row(visitor: UUID, run: UUID) -> ChatMessage | None:
    """Return the row of a visitor's run, None where there is none to be had."""
    try:
        return await database_sync_to_async(transcript.find)(visitor, run)
    except (DatabaseError, InterfaceError):
        return None


async def asked(visitor: UUID, run: UUID) -> Asked:
    """Return what was asked; no words where nobody can say."""
    if (generation := generations().find(run)) is not None:
        return Asked(generation.answer.turn, generation.answer.question)
    try:
        if found := await register().find([run]):
            return found[0].asked
    except RedisError:
        pass
    stored = await row(visitor, run)
    return Asked(stored.turn_id, stored.question) if stored else Asked(run, "")


async def rate(visitor: UUID, run: UUID, rating: str, comment: str) -> None:
    """Store what a visitor thinks of an answer. Raises Refused, also where its row is still to be written."""
    try:
        rated = await database_sync_to_async(transcript.rate)(visitor, run, rating, comment)
    except (DatabaseError, InterfaceError):
        raise protocol.Refused.unavailable(run) from None
    if not rated:
        await info(visitor, run)
        raise protocol.Refused.unavailable(run)


async def history(visitor: UUID, before: UUID | None) -> protocol.History:
    """Return a page of a visitor's conversation. Raises Refused."""
    try:
        return await database_sync_to_async(_history)(visitor, before)
    except (DatabaseError, InterfaceError):
        raise protocol.Refused.unavailable() from None


async def latest(visitor: UUID) -> Latest:
    """Return a visitor's latest run where it is recent; of other processes' runs nothing is known with Redis away."""
    if (running := generations().running_for(visitor)) is not None:
        return Latest(visitor, running, None)
    try:
        (found,) = await register().latest([visitor])
    except RedisError:
        return Latest(visitor, None, None)
    return found


async def must_be_last(visitor: UUID, turn: UUID, memory: Memory) -> None:
    """Raise Refused unless the turn is the visitor's own, and nothing that is remembered came after it.

    Nothing is asked for the turn that was answered last. For one that failed the run log is, and an hour later its row.
    """
    remembered = memory.turns[-1].id if memory.turns else ""
    if str(turn) == remembered:
        return
    if str(turn) < remembered:
        raise protocol.Refused("not_last", gettext("Only the last question can be asked again."))
    try:
        await info(visitor, turn)
    except protocol.Refused:
        if await row(visitor, turn) is None:
            raise


async def resume(
    visitor: UUID, run: UUID, after: int, send: at_once.Send | None = None
) -> AsyncGenerator[protocol.ServerFrame]:
    """Return the frames of a visitor's run after a number, as `show` does. Raises Refused."""
    try:
        await info(visitor, run)
    except protocol.Refused:
        if (stored := await row(visitor, run)) is None:
            raise
        return _of_row(stored, after)
    return show(visitor, run, after, send=send)


async def show(
    visitor: UUID,
    run: UUID,
    after: int = 0,
    known: Asked | None = None,
    send: at_once.Send | None = None,
) -> AsyncGenerator[protocol.ServerFrame]:
    """Yield the frames of a run that is the visitor's for certain. Raises RedisError.

    Where the server can `send` at once, a piece that comes while the next frame is waited for goes that way, and is not
    yielded: see `RunLog.read`.
    """
    if after == 0:
        begun = known or await asked(visitor, run)
        yield protocol.Started(run=run, turn=begun.turn, question=begun.question)
    take = None if send is None else _taking(run, send)
    async with aclosing(runs.log().read(run, after, take)) as events:
        async for event in events:
            yield await _end(run, event) if isinstance(event, End) else _delta(run, event)


async def _of_row(stored: ChatMessage, after: int) -> AsyncGenerator[protocol.ServerFrame]:
    """Yield the frames of a run that is in the audit log only."""
    if after == 0:
        yield protocol.Started(run=stored.run_id, turn=stored.turn_id, question=stored.question)
    yield end_of(stored)


def end_of(stored: ChatMessage) -> protocol.End:
    """Return the end of a run that has its row."""
    facts = Record.model_validate(stored, from_attributes=True).facts
    return _frame(stored.run_id, 0, Status(stored.status), stored.answer, facts)


def _delta(run: UUID, piece: Delta) -> protocol.Delta:
    return protocol.Delta(run=run, seq=piece.seq, text=piece.text, restart=piece.restart)


def _taking(run: UUID, send: at_once.Send) -> runs.Take:
    """Return what sends a piece of the run at once, if there is room."""
    encoded = protocol.delta_encoder(run)

    def take(piece: Delta) -> bool:
        try:
            return send(encoded(*piece))
        except Exception as error:
            # Of one page's connection, and no business of the answer. Who sends it next finds out.
            log.info("a piece could not be sent at once", error=type(error).__name__)
            return False

    return take


def _history(visitor: UUID, before: UUID | None) -> protocol.History:
    rows, following = transcript.page(visitor, before=before)
    exchanges = [
        protocol.Exchange(
            turn=each.turn_id,
            question=each.question,
            end=end_of(each),
            rating=Rating(each.rating).value if each.rating else None,
            comment=each.comment,
        )
        for each in rows
    ]
    return protocol.History(exchanges=exchanges, next=following)


async def _end(run: UUID, seen: End) -> protocol.End:
    generation = generations().find(run)
    text = generation.writer.text if generation else (await runs.log().snapshot(run)).text
    return _frame(run, seen.last, Status(seen.outcome), text, _NOTHING_KNOWN | dict(seen.data))


def _frame(run: UUID, seq: int, status: Status, text: str, facts: dict[str, object]) -> protocol.End:
    sentence = str(facts["error"])
    return protocol.End.model_validate(
        {
            "run": run,
            "seq": seq,
            "outcome": status.value,
            "text": text,
            "html": markdown.render(text),
            "usage": facts,
            "timings": facts,
            # It is stored as it was said, in no language.
            "error": gettext(sentence),
            **{name: facts[name] for name in ("provider", "model", "fallback")},
        }
    )


# Of a run whose process was lost.
_NOTHING_KNOWN: dict[str, object] = {
    "error": "",
    "provider": "",
    "model": "",
    "fallback": False,
    "prompt_tokens": None,
    "completion_tokens": None,
    "first_token_ms": None,
    "total_ms": None,
}
