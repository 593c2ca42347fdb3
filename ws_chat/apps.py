"""The WebSocket chat."""

from django.apps import AppConfig


class WsChatConfig(AppConfig):
    """Registers the app under the name that people know."""

    name = "ws_chat"
    verbose_name = "WebSocket chat"
