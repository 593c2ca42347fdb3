"""What a visitor may have: their timelines, to take along, and to have deleted."""

import uuid
from collections.abc import Iterable
from typing import Any

from llm.timelines.models import Timeline


def rows(visitor_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return all that is stored of a visitor's timelines behind one of them, or from the first on."""
    mine = Timeline.objects.filter(visitor_id=visitor_id, trace_id__gt=after or uuid.UUID(int=0))
    found: Iterable[Any] = mine.order_by("trace_id").values()[:limit]
    return list(found)


def erase(visitor_id: uuid.UUID) -> None:
    """Delete a visitor's timelines. What servers have told of their questions leaves Redis within an hour."""
    Timeline.objects.filter(visitor_id=visitor_id).delete()
