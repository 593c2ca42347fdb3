"""What a visitor has talked about in this chat: the turns that the model is reminded of."""

import uuid
from functools import partial

from channels.db import database_sync_to_async

from llm import conversations
from llm.conversations import Conversation
from llm.memory import MAX_TURNS, Turn
from ws_chat.models import ChatMessage, Status
from ws_chat.records import Record


def of(visitor_id: uuid.UUID) -> Conversation:
    """Return the visitor's conversation, which all their pages share."""
    return conversations.of(f"ws:{visitor_id}", partial(database_sync_to_async(_stored), visitor_id))


def turn_of(record: Record) -> Turn | None:
    """Return the turn that a run makes, None where it failed: of what was stopped, what the visitor saw counts."""
    if record.status is Status.ERROR or not record.answer:
        return None
    return Turn(str(record.run_id), record.question, record.answer)


def _stored(visitor_id: uuid.UUID) -> list[Turn]:
    rows = ChatMessage.objects.filter(visitor_id=visitor_id).exclude(status=Status.ERROR).exclude(answer="")
    latest = rows.order_by("-started_at").values_list("run_id", "question", "answer")[:MAX_TURNS]
    return [Turn(str(run_id), question, answer) for run_id, question, answer in latest]
