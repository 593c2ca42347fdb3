"""What a visitor's browser and a worker do to a question, for tests without a broker."""

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient

from kafka_chat import claims, endings, outbox, results, topics
from kafka_chat.claims import Claim
from kafka_chat.messages import Answer
from kafka_chat.models import ChatMessage
from llm import runs
from llm.runs import Writer


async def newcomer() -> AsyncClient:
    """A browser that has been here before, so that it has its cookie."""
    client = AsyncClient()
    await client.get("/api/chat/history/")
    return client


async def ask(client: AsyncClient, message: str = "why?") -> Any:
    """Ask over HTTP; return what the server says to it."""
    response = await client.post("/api/chat/", {"message": message}, content_type="application/json")
    assert response.status_code == 202
    return response.json()


def ask_here(session_id: uuid.UUID, text: str) -> ChatMessage:
    """Store a question as the web server does, on this thread's connection."""
    row = ChatMessage(session_id=session_id, message=text)
    with connection.cursor() as cursor:
        cursor.execute(*outbox.statement_with(row, topics.QUESTIONS, results.as_message(row)))
    return row


def claim(message_id: uuid.UUID) -> Claim | None:
    """Claim a question as the answer role does, on this thread's connection."""
    claimed = claims.claim([message_id]).execute_here()
    if not claimed:
        claims.pass_over([message_id]).execute_here()
    return claimed.get(message_id)


def record(answer: Answer) -> ChatMessage | None:
    """Store what came of a question as the persist role does, on this thread's connection."""
    for stored in results.store({answer.message_id: results.of(answer)}).execute_here():
        if stored.asked_more:
            results.send_next([stored.row.session_id])
        return stored.row
    return None


async def begin(asked: Any) -> Writer:
    """Claim a question, and begin to write its answer."""
    run = uuid.UUID(asked["message_id"])
    assert await sync_to_async(claim)(run)
    return await runs.log().take_over(run, owner="")


async def store(asked: Any, *, announced: bool = True, **result: object) -> ChatMessage:
    """Store what came of a question, as the persist role does; where it died then, nobody is told."""
    row = await ChatMessage.objects.aget(pk=asked["message_id"])
    ids = {"message_id": row.message_id, "session_id": row.session_id, "trace_id": row.trace_id}
    stored = await sync_to_async(record)(Answer.model_validate(ids | (result or {"response": "because"})))
    assert stored is not None
    if announced:
        await endings.announce(stored)
    return stored
