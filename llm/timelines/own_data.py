"""What a visitor may have: their timelines, to take along, and to have deleted."""

import uuid

from django.db.models import QuerySet

from llm.timelines.models import Timeline


def kept(visitor_id: uuid.UUID) -> QuerySet[Timeline]:
    """Return a visitor's timelines."""
    return Timeline.objects.filter(visitor_id=visitor_id)


def erase(visitor_id: uuid.UUID) -> None:
    """Delete a visitor's timelines. What servers have told of their questions leaves Redis within an hour."""
    kept(visitor_id).delete()
