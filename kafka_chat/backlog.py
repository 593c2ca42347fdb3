"""How much waits in the Kafka chat, and for how long, in PostgreSQL and in Kafka: for operators, and as gauges."""

from dataclasses import dataclass

from django.db import connection

from config.observability.looking import Reading, Readings, look_up
from config.panels import brief_statements
from kafka_chat import positions
from kafka_chat.answering import Answering
from kafka_chat.categorising import Categorising
from kafka_chat.models import OPEN
from kafka_chat.persisting import Persisting
from kafka_chat.positions import Position

_QUESTIONS = Reading("triptych_open_questions", "Questions without an end, by where they stand.", ("status",))
_OLDEST = Reading("triptych_oldest_unanswered_seconds", "Age of the oldest question without an end; 0 without one.")
_OUTBOX = Reading("triptych_outbox_backlog", "Messages that Kafka has not got yet.")
_LAG = Reading("triptych_kafka_lag", "Messages that a consumer group has not done.", ("group", "topic", "partition"))

# Both counts go along partial indexes, which hold nothing but what is counted.
_SELECT = """
    SELECT
        COUNT(*) FILTER (WHERE status = %s), COUNT(*) FILTER (WHERE status = %s),
        COALESCE(EXTRACT(EPOCH FROM now() - MIN(created_at)), 0),
        (SELECT COUNT(*) FROM kf_outbox WHERE sent_at IS NULL)
    FROM kf_chatmessage WHERE status IN (%s, %s)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in PostgreSQL: open questions by status, seconds since the oldest was asked, unsent messages."""

    questions: dict[str, int]
    oldest: float
    outbox: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a consumer group stands in its topic."""

    group: str
    topic: str
    positions: list[Position]

    @property
    def lag(self) -> int:
        """Messages that the group has not done."""
        return sum(position.lag for position in self.positions)


def waiting() -> Waiting:
    """Look at the rows, on the connection of this thread; raises OperationalError where that takes 2 s."""
    with brief_statements(), connection.cursor() as cursor:
        cursor.execute(_SELECT, [*OPEN, *OPEN])
        *open_questions, oldest, outbox = cursor.fetchone()
    return Waiting(dict(zip(OPEN, open_questions, strict=True)), float(oldest), outbox)


def standings() -> list[Standing]:
    """Ask the broker where the groups stand. Blocks; raises KafkaException."""
    found = []
    for role in (Answering, Persisting, Categorising):
        with positions.bystander(role.group) as bystander:
            found.append(Standing(role.group, role.topic, positions.of(bystander, role.topic)))
    return found


def _look_at_rows() -> Readings:
    try:
        found = waiting()
    finally:
        connection.close()
    return {
        _QUESTIONS: [((status,), count) for status, count in found.questions.items()],
        _OLDEST: [((), found.oldest)],
        _OUTBOX: [((), found.outbox)],
    }


def _look_at_kafka() -> Readings:
    return {
        _LAG: [
            ((each.group, each.topic, str(position.partition)), float(position.lag))
            for each in standings()
            for position in each.positions
        ]
    }


look_up([_QUESTIONS, _OLDEST, _OUTBOX], _look_at_rows)
look_up([_LAG], _look_at_kafka)
