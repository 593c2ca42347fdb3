"""The data agent's Django application."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DataAgentConfig(AppConfig):
    """A model proposes SQL, a person decides, a role that can only read runs it."""

    name = "data_agent"
    label = "data_agent"
    verbose_name = _("Data agent")

    def ready(self) -> None:
        """Register the check of the database roles."""
        from data_agent import checks  # noqa: F401
