"""The provider layer as a Django app: the ledger of calls, and prices."""

from django.apps import AppConfig


class LLMConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "llm"
    verbose_name = "Model calls"
