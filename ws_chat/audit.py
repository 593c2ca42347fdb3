"""The audit log: one row for each run, whatever its end, and not before its end."""

import structlog
from channels.db import database_sync_to_async
from django.db import DatabaseError

from ws_chat.answers import Answer
from ws_chat.models import ChatMessage

log = structlog.get_logger(__name__)


async def record(answer: Answer) -> None:
    """Store how a run ended. A database that is away costs the row, which is logged, and not the conversation."""
    row = ChatMessage(
        run_id=answer.run,
        visitor_id=answer.visitor_id,
        question=answer.question,
        answer=answer.text,
        status=answer.status,
        error=answer.error,
        provider=answer.provider,
        model=answer.model,
        fallback=answer.fallback,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        started_at=answer.started_at,
        first_token_ms=answer.first_token_ms,
        total_ms=answer.total_ms,
        trace_id=answer.trace_id,
    )
    try:
        await database_sync_to_async(row.save)(force_insert=True)
    except DatabaseError as error:
        log.error("a run was not recorded", run=str(answer.run), status=answer.status, error=type(error).__name__)
    else:
        log.info(
            "run ended",
            run=str(answer.run),
            status=answer.status,
            provider=answer.provider,
            first_token_ms=answer.first_token_ms,
            total_ms=answer.total_ms,
        )
