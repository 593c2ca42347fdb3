"""What a visitor may have: all that is kept of their questions here, to take along, and to have deleted."""

import asyncio
import uuid
from contextlib import suppress

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kafka_chat import stopping
from kafka_chat.models import OPEN, ChatMessage, OutboxEntry, Status
from llm import conversations, runs

# Seconds that workers get to let go of what they are answering.
PATIENCE = 5.0


def name_of(session_id: uuid.UUID) -> str:
    """Return under which name a visitor's conversation is remembered."""
    return f"kafka:{session_id}"


def kept(session_id: uuid.UUID) -> QuerySet[ChatMessage]:
    """Return a visitor's questions."""
    return ChatMessage.objects.filter(session_id=session_id)


async def erase(session_id: uuid.UUID) -> int:
    """Stop and delete a visitor's questions, wherever they are; returns how many there were.

    Of a question that was still open an empty row stays, which is nobody's: Kafka has its message, and for a message
    without a row there would be a dead letter. Raises Away, RedisError and DatabaseError; it may then be called again.
    """
    unfinished = await sync_to_async(_open)(session_id)
    for message_id in unfinished:
        await stopping.stop(session_id, message_id, seen=0)
    await _let_go(await sync_to_async(_open)(session_id))
    await conversations.forget(name_of(session_id))
    ids = await sync_to_async(_ids)(session_id)
    # Those that are still written are gone an hour after their end.
    await runs.log().forget(set(ids) - set(await sync_to_async(_open)(session_id)))
    await sync_to_async(_delete)(session_id, unfinished)
    return len(ids)


async def _let_go(message_ids: list[uuid.UUID]) -> None:
    """Wait until workers have ended these; one that is lost may not be in the way for long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(runs.log().end_of(message_id) for message_id in message_ids))


def _ids(session_id: uuid.UUID) -> list[uuid.UUID]:
    return list(kept(session_id).values_list("message_id", flat=True))


def _open(session_id: uuid.UUID) -> list[uuid.UUID]:
    return list(kept(session_id).filter(status__in=OPEN).values_list("message_id", flat=True))


@transaction.atomic
def _delete(session_id: uuid.UUID, unfinished: list[uuid.UUID]) -> None:
    # What the relay is sending just now is deleted an hour later, with everything that was sent.
    entries = OutboxEntry.objects.filter(key=session_id.bytes).select_for_update(skip_locked=True)
    OutboxEntry.objects.filter(pk__in=[entry.pk for entry in entries]).delete()
    mine = kept(session_id)
    for row in mine.filter(pk__in=unfinished).select_for_update():
        # A new one, so that columns which come later are emptied too.
        ChatMessage(
            message_id=row.message_id,
            session_id=uuid.uuid4(),
            message="",
            response="",
            status=Status.STOPPED,
            created_at=row.created_at,
            answered_at=row.answered_at or timezone.now(),
        ).save(force_update=True)
    mine.delete()
