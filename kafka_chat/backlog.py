"""How much waits in the Kafka chat, and for how long, as gauges: in PostgreSQL and in Kafka."""

from django.db import connection, transaction

from config.looking import Reading, Readings, look_up
from kafka_chat import positions
from kafka_chat.answering import Answering
from kafka_chat.categorising import Categorising
from kafka_chat.models import OPEN
from kafka_chat.persisting import Persisting

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


def _look_at_rows() -> Readings:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '2s'")
            cursor.execute(_SELECT, [*OPEN, *OPEN])
            *open_questions, oldest, outbox = cursor.fetchone()
    finally:
        connection.close()
    return {
        _QUESTIONS: [((status,), count) for status, count in zip(OPEN, open_questions, strict=True)],
        _OLDEST: [((), float(oldest))],
        _OUTBOX: [((), outbox)],
    }


def _look_at_kafka() -> Readings:
    found = []
    for role in (Answering, Persisting, Categorising):
        with positions.bystander(role.group) as bystander:
            for position in positions.of(bystander, role.topic):
                found.append(((role.group, role.topic, str(position.partition)), float(position.lag)))
    return {_LAG: found}


look_up([_QUESTIONS, _OLDEST, _OUTBOX], _look_at_rows)
look_up([_LAG], _look_at_kafka)
