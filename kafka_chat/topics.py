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
    """Create the topics that are missing, and report those with fewer partitions than configured.

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
    existing = admin.list_topics(timeout=_TIMEOUT).topics
    for name in ALL:
        partitions = len(existing[name].partitions) if name in existing else 0
        if partitions < settings.KAFKA_PARTITIONS:
            log.warning(
                "topic has fewer partitions than configured, so fewer workers can share it",
                topic=name,
                partitions=partitions,
                configured=settings.KAFKA_PARTITIONS,
            )
