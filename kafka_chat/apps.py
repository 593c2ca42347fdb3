"""The Kafka chat."""

from django.apps import AppConfig


class KafkaChatConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "kafka_chat"
    verbose_name = "Kafka chat"
