"""A visitor's conversation as the audit log has it: the newest version of each turn, and what they think of it."""

import uuid

from django.db.models import QuerySet, Subquery, UUIDField, Value
from django.db.models.functions import Coalesce
from uuid_utils.compat import uuid7

from config import ratings
from ws_chat.models import ChatMessage, ConversationStart

# Turns of one page.
PAGE = 20
_BEFORE_ALL = uuid.UUID(int=0)


def turns(visitor_id: uuid.UUID) -> QuerySet[ChatMessage]:
    """Return a visitor's conversation, newest turn first; of each turn the newest run that is not filtered out."""
    start = ConversationStart.objects.filter(visitor_id=visitor_id).values("after")
    begin = Coalesce(Subquery(start), Value(_BEFORE_ALL, UUIDField()))
    runs = ChatMessage.objects.filter(visitor_id=visitor_id, turn_id__gt=begin)
    return runs.order_by("-turn_id", "-run_id").distinct("turn_id")


def page(
    visitor_id: uuid.UUID, limit: int = PAGE, *, before: uuid.UUID | None = None
) -> tuple[list[ChatMessage], uuid.UUID | None]:
    """Return the latest turns, or those before a turn, oldest first, and where the page before them begins, if any."""
    found = turns(visitor_id)
    if before is not None:
        found = found.filter(turn_id__lt=before)
    rows = list(found[: limit + 1])
    following = rows[limit - 1].turn_id if len(rows) > limit else None
    return rows[:limit][::-1], following


def find(visitor_id: uuid.UUID, run: uuid.UUID) -> ChatMessage | None:
    """Return the row of a visitor's run, None where they have no such run, or it has no row yet."""
    return ChatMessage.objects.filter(visitor_id=visitor_id, run_id=run).first()


def rate(visitor_id: uuid.UUID, run: uuid.UUID, rating: str, comment: str) -> bool:
    """Store what a visitor thinks of their run, in place of what they thought; returns whether it has a row."""
    return ratings.rate(ChatMessage.objects.filter(visitor_id=visitor_id, run_id=run), rating, comment)


def begin_anew(visitor_id: uuid.UUID) -> uuid.UUID:
    """Begin a visitor's conversation anew; returns the id after which its turns come."""
    start = ConversationStart(visitor_id=visitor_id, after=uuid7())
    ConversationStart.objects.bulk_create(
        [start], update_conflicts=True, unique_fields=["visitor_id"], update_fields=["after"]
    )
    return start.after
