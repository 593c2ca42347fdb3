"""WebSocket addresses of the data agent."""

from django.urls import re_path

from data_agent.consumers import DataAgentConsumer

# Channels routes with Django's patterns to what is no view.
websocket_urlpatterns = [re_path(r"^ws/data-agent/$", DataAgentConsumer.as_asgi())]  # type: ignore[arg-type]
