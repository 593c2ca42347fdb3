"""The Kafka chat."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class KafkaChatConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "kafka_chat"
    verbose_name = _("Kafka chat")
