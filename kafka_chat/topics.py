"""The topics, and how they come into being."""

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from django.conf import settings

from kafka_chat import clients

log = structlog.get_logger(__name__)

QUESTIONS = "chatbot-questions"
ANSWERS = "chatbot-answers"
DEAD_LETTERS = "chatbot-dead-letters"
ALL = (QUESTIONS, ANSWERS, DEAD_LETTERS)

# Seconds for one request to the broker.
_TIMEOUT = 10.0


def ensure() -> None:
    """Create the topics that are missing, and report those with fewer partitions than configured, in one line.

    Partitions are not added to a topic that exists: from then on a visitor's questions would go to another one.
    Raises KafkaException where the broker cannot be reached.
    """
    admin = AdminClient(clients.connection())
    wanted = [NewTopic(name, settings.KAFKA_PARTITIONS, settings.KAFKA_REPLICATION) for name in ALL]
    for name, created in admin.create_topics(wanted, request_timeout=_TIMEOUT).items():
        try:
            created.result()
            log.info("topic created", topic=name, partitions=settings.KAFKA_PARTITIONS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    if small := with_fewer_partitions(admin):
        log.warning(
            "topics have fewer partitions than KAFKA_PARTITIONS, so fewer workers can share them: stop the workers and "
            "add partitions with kafka-topics --alter --partitions, or set KAFKA_PARTITIONS to what there is",
            configured=settings.KAFKA_PARTITIONS,
            **{name.replace("-", "_"): number for name, number in small.items()},
        )


def with_fewer_partitions(admin: AdminClient | None = None, *, timeout: float = _TIMEOUT) -> dict[str, int]:
    """Return the topics that have fewer partitions than configured, with their number.

    Blocks, in seconds at most `timeout`; raises KafkaException where the broker cannot be reached.
    """
    existing = (admin or AdminClient(clients.connection())).list_topics(timeout=timeout).topics
    numbers = {name: len(existing[name].partitions) for name in ALL if name in existing}
    return {name: number for name, number in numbers.items() if number < settings.KAFKA_PARTITIONS}
