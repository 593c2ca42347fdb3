"""Lets a question in, or not: the budget is taken before it is stored, and given back where it is not stored."""

import uuid

from django.conf import settings
from uuid_utils.compat import uuid7

from config.observability import tracing
from kafka_chat import asking
from kafka_chat.models import ChatMessage
from llm import budgets
from llm.budgets import Asker, BudgetExceeded


async def ask(
    asker: Asker,
    visitor_id: uuid.UUID,
    text: str,
    *,
    idempotency_key: str | None = None,
    traceparent: str | None = None,
) -> ChatMessage:
    """Store a question as `asking.ask` does; the worker settles its budget, under the message's id.

    A question that was let in before, with the same key, is not counted again, and comes back whatever the budget.
    `traceparent` is the asker's own, of a trace that this one is linked with. Raises BudgetExceeded.
    """
    trace_id = uuid.uuid4()
    with tracing.span("ask", trace_id, kind="server", link=traceparent, attributes={"triptych.chat": "kafka"}):
        row = await _let_in(asker, visitor_id, text, idempotency_key, trace_id)
        if row.trace_id != trace_id:
            tracing.move(row.trace_id)
    return row


async def _let_in(
    asker: Asker, visitor_id: uuid.UUID, text: str, idempotency_key: str | None, trace_id: uuid.UUID
) -> ChatMessage:
    message_id = uuid7()
    try:
        # The conversation before it is not known here; this is what the model is sent at most.
        await budgets.reserve(asker, str(message_id), settings.LLM_MEMORY_TOKENS + settings.LLM_ANSWER_TOKENS)
    except BudgetExceeded:
        earlier = await asking.find_asked(visitor_id, idempotency_key)
        if earlier is None:
            raise
        return earlier
    stored = False
    try:
        row = await asking.ask(
            visitor_id, text, idempotency_key=idempotency_key, message_id=message_id, trace_id=trace_id
        )
        stored = row.message_id == message_id
    finally:
        if not stored:
            await budgets.release(str(message_id))
    return row
