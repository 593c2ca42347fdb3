"""Runs looked up again, by whoever resumes or watches them: in memory, in the run log, in the audit log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from llm import markdown, runs
from llm.runs import Delta, End, RunInfo
from ws_chat import answers, protocol
from ws_chat.generating import generations
from ws_chat.models import ChatMessage, Status
from ws_chat.records import Record
from ws_chat.register import register


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
        return await database_sync_to_async(answers.find)(visitor, run)
    except (DatabaseError, InterfaceError):
        return None


async def question(visitor: UUID, run: UUID) -> str:
    """Return what was asked; nothing where nobody can say."""
    if (generation := generations().find(run)) is not None:
        return generation.answer.question
    try:
        if found := await register().find([run]):
            return found[0].question
    except RedisError:
        pass
    stored = await row(visitor, run)
    return stored.question if stored else ""


async def latest(visitor: UUID) -> UUID | None:
    """Return a visitor's latest run where it is recent; of other processes' runs nothing is known with Redis away."""
    if (running := generations().running_for(visitor)) is not None:
        return running
    try:
        found = await register().latest([visitor])
    except RedisError:
        return None
    return found[0][1] if found else None


async def resume(visitor: UUID, run: UUID, after: int) -> AsyncGenerator[protocol.ServerFrame]:
    """Return the frames of a visitor's run after a number: what there is, then what comes. Raises Refused."""
    try:
        await info(visitor, run)
    except protocol.Refused:
        if (stored := await row(visitor, run)) is None:
            raise
        return _of_row(stored, after)
    return show(visitor, run, after)


async def show(visitor: UUID, run: UUID, after: int = 0, asked: str = "") -> AsyncGenerator[protocol.ServerFrame]:
    """Yield the frames of a run that is the visitor's for certain. Raises RedisError."""
    if after == 0:
        yield protocol.Started(run=run, question=asked or await question(visitor, run))
    async with aclosing(runs.log().read(run, after)) as events:
        async for event in events:
            match event:
                case Delta(seq, text, restart):
                    yield protocol.Delta(run=run, seq=seq, text=text, restart=restart)
                case End():
                    yield await _end(run, event)


async def _of_row(stored: ChatMessage, after: int) -> AsyncGenerator[protocol.ServerFrame]:
    """Yield the frames of a run that is in the audit log only."""
    if after == 0:
        yield protocol.Started(run=stored.run_id, question=stored.question)
    facts = Record.model_validate(stored, from_attributes=True).facts
    yield _frame(stored.run_id, 0, Status(stored.status), stored.answer, facts)


async def _end(run: UUID, seen: End) -> protocol.End:
    generation = generations().find(run)
    text = generation.writer.text if generation else (await runs.log().snapshot(run)).text
    return _frame(run, seen.last, Status(seen.outcome), text, _NOTHING_KNOWN | dict(seen.data))


def _frame(run: UUID, seq: int, status: Status, text: str, facts: dict[str, object]) -> protocol.End:
    return protocol.End.model_validate(
        {
            "run": run,
            "seq": seq,
            "outcome": status.value,
            "text": text,
            "html": markdown.render(text),
            "usage": facts,
            "timings": facts,
            **{name: facts[name] for name in ("error", "provider", "model", "fallback")},
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
