"""WebSocket addresses of the data agent."""

from django.urls import re_path

from config.observability.metrics import counted
from data_agent.consumers import DataAgentConsumer

# Channels routes with Django's patterns to what is no view.
websocket_urlpatterns = [re_path(r"^ws/data-agent/$", counted(DataAgentConsumer.as_asgi(), "/ws/data-agent/"))]  # type: ignore[arg-type]
