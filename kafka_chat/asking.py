"""What a visitor who waits asks the database: to store a question, and to read one of their own.

These are the statements that every question costs the web server, so they go from the event loop straight to
PostgreSQL. What happens to a question afterwards is in `questions`.
"""

import uuid
from functools import cache

from django.db import IntegrityError
from uuid_utils.compat import uuid7

from config import database
from config.observability import counting
from kafka_chat import outbox, results, topics
from kafka_chat.models import ChatMessage
from llm.timelines import marks


async def ask(
    session_id: uuid.UUID,
    text: str,
    *,
    idempotency_key: str | None = None,
    message_id: uuid.UUID | None = None,
    trace_id: uuid.UUID | None = None,
) -> ChatMessage:
    """Store a question and its outbox entry in one statement.

    The same key from the same visitor gives the same row back, and sends nothing again.
    """
    row = ChatMessage(
        message_id=message_id or uuid7(),
        session_id=session_id,
        message=text,
        idempotency_key=idempotency_key,
        trace_id=trace_id or uuid.uuid4(),
    )
    try:
        await database.rows(*outbox.statement_with(row, topics.QUESTIONS, results.as_message(row)))
    except IntegrityError:
        earlier = await find_asked(session_id, idempotency_key)
        if earlier is None:
            raise
        return earlier
    return row


async def find(session_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
    """Return a visitor's own question, None where it is somebody else's or does not exist."""
    return await _first("message_id", message_id, session_id)


async def find_asked(session_id: uuid.UUID, idempotency_key: str | None) -> ChatMessage | None:
    """Return the question that a visitor has asked with this key, if there is one."""
    return None if idempotency_key is None else await _first("idempotency_key", idempotency_key, session_id)


async def _first(column: str, value: object, session_id: uuid.UUID) -> ChatMessage | None:
    with counting.counting() as counted:
        rows = await database.rows(_selection(column), [value, session_id])
    for row in rows:
        found = ChatMessage.from_db("default", _names(), row)
        marks.note(found.trace_id, counted=counted)
        return found
    return None


@cache
def _names() -> list[str]:
    return [field.attname for field in ChatMessage._meta.concrete_fields]


@cache
def _selection(column: str) -> str:
    table, columns = ChatMessage._meta.db_table, ", ".join(field.column for field in ChatMessage._meta.concrete_fields)
    return f"SELECT {columns} FROM {table} WHERE {column} = %s AND session_id = %s"
