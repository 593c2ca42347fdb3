"""The WebSocket chat's address."""

from django.urls import re_path

from config.observability.metrics import counted
from ws_chat.consumers import ChatConsumer

# Channels routes with Django's patterns to what is no view.
websocket_urlpatterns = [re_path(r"^ws/chat/$", counted(ChatConsumer.as_asgi(), "/ws/chat/"))]  # type: ignore[arg-type]
