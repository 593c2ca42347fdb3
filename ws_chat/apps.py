"""The WebSocket chat."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from config.serving import draining


class WsChatConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "ws_chat"
    verbose_name = _("WebSocket chat")

    def ready(self) -> None:
        """Have each web process look for rows to write, whether or not anybody uses it."""
        # It needs the models, which are there only now.
        from ws_chat import sweeping

        draining.at_start(sweeping.begin)
