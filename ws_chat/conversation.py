"""What a visitor has talked about in this chat: the turns that the model is reminded of."""

import uuid
from functools import partial

from channels.db import database_sync_to_async

from llm import conversations
from llm.conversations import Conversation
from llm.memory import MAX_TURNS, Turn
from ws_chat import transcript
from ws_chat.models import Status
from ws_chat.records import Record
from ws_chat.register import register


def name_of(visitor_id: uuid.UUID) -> str:
    """Return under which name a visitor's conversation is remembered."""
    return f"ws:{visitor_id}"


def of(visitor_id: uuid.UUID) -> Conversation:
    """Return the visitor's conversation, which all their pages share."""
    return conversations.of(name_of(visitor_id), partial(database_sync_to_async(_stored), visitor_id))


def turn_of(record: Record) -> Turn | None:
    """Return the turn that a run makes, None where it failed: of what was stopped, what the visitor saw counts."""
    if record.status is Status.ERROR or not record.answer:
        return None
    # Not the run: another version of the answer takes the place of the one before.
    return Turn(str(record.turn_id), record.question, record.answer)


async def begin_anew(visitor_id: uuid.UUID) -> uuid.UUID:
    """Leave behind what was said, for the model and for the visitor's pages; the rows stay.

    Returns the id after which the turns of the new conversation come. Raises DatabaseError, InterfaceError, Away and
    RedisError; it may be tried again then.
    """
    after = await database_sync_to_async(transcript.begin_anew)(visitor_id)
    await of(visitor_id).forget()
    await register().begin_anew(visitor_id, after)
    return after


def _stored(visitor_id: uuid.UUID) -> list[Turn]:
    rows = transcript.turns(visitor_id).exclude(status=Status.ERROR).exclude(answer="")
    latest = rows.values_list("turn_id", "question", "answer")[:MAX_TURNS]
    return [Turn(str(turn_id), question, answer) for turn_id, question, answer in latest]
