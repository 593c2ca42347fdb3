"""What is measured about the Kafka chat where it happens; what stands in its servers is in `backlog`."""

from django.utils import timezone
from prometheus_client import Counter

from kafka_chat.models import ChatMessage
from llm import metrics

_DEAD_LETTERS = Counter("triptych_dead_letters", "Messages that could not be handled.", ["topic"])


def note_end(row: ChatMessage) -> None:
    """Count a question whose end has been stored just now."""
    first, ended = row.first_token_at, row.answered_at or timezone.now()
    metrics.note_end(
        "kafka",
        row.status,
        row.provider,
        first_token_seconds=None if first is None else (first - row.created_at).total_seconds(),
        total_seconds=(ended - row.created_at).total_seconds(),
    )


def note_dead_letter(topic: str) -> None:
    """Count a message that could not be handled."""
    _DEAD_LETTERS.labels(topic).inc()
