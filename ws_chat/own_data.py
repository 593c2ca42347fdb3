"""What a visitor may have: all that is kept of their conversation here, to take along, and to have deleted."""

import asyncio
import uuid

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet

from llm import runs
from ws_chat import conversation, retrieval
from ws_chat.models import ChatMessage, ConversationStart
from ws_chat.register import register

# Seconds that a run gets to end and leave its row.
PATIENCE = 5.0
_LOOK_EVERY = 0.05


class StillWritten(Exception):
    """An answer has not ended in time, wherever it is written; nothing was deleted."""


def kept(visitor_id: uuid.UUID) -> QuerySet[ChatMessage]:
    """Return a visitor's runs."""
    return ChatMessage.objects.filter(visitor_id=visitor_id)


async def erase(visitor_id: uuid.UUID) -> int:
    """Stop what is being written for a visitor, delete their runs, and clear their pages; returns how many there were.

    Raises StillWritten, and Away, RedisError and DatabaseError; it may then be called again.
    """
    await _stop(visitor_id)
    # The model and the pages are told in the same way as of any new conversation.
    await conversation.begin_anew(visitor_id)
    ids = await sync_to_async(_ids)(visitor_id)
    if ids:
        await runs.log().forget(ids)
        await register().recorded(ids)
    await sync_to_async(_delete)(visitor_id)
    return len(ids)


async def _stop(visitor_id: uuid.UUID) -> None:
    """Stop the visitor's run, if there is one, and wait for its row: one that came later would stay."""
    run = (await retrieval.latest(visitor_id)).run
    if run is None:
        return
    await runs.log().stop(run, 0)
    try:
        async with asyncio.timeout(PATIENCE):
            while await retrieval.row(visitor_id, run) is None and await runs.log().info(run) is not None:
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise StillWritten from None


def _ids(visitor_id: uuid.UUID) -> list[uuid.UUID]:
    return list(kept(visitor_id).values_list("run_id", flat=True))


@transaction.atomic
def _delete(visitor_id: uuid.UUID) -> None:
    kept(visitor_id).delete()
    ConversationStart.objects.filter(visitor_id=visitor_id).delete()
