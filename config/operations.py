"""The operators' page of the admin: how the site is doing, and where to look further.

Each panel stands for itself. One whose server is away says so in a sentence, and nobody waits longer than
`looking.PATIENCE` for all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from config.panels import Panel, brief_statements
from kafka_chat import panels as kafka_panels
from llm import panels as llm_panels

log = structlog.get_logger(__name__)

# What has plots comes below what is read at a glance.
PANELS: tuple[Panel, ...] = tuple(sorted((*kafka_panels.PANELS, *llm_panels.PANELS), key=lambda panel: panel.is_wide))

# Pages that have a list of their own: name, permission, address.
_ELSEWHERE = (
    ("Questions", "kafka_chat.view_chatmessage", "admin:kafka_chat_chatmessage_changelist"),
    ("Dead letters", "kafka_chat.view_chatmessage", "dead-letters"),
    ("Outbox", "kafka_chat.view_outboxentry", "admin:kafka_chat_outboxentry_changelist"),
    ("WebSocket runs", "ws_chat.view_chatmessage", "admin:ws_chat_chatmessage_changelist"),
    ("Model calls", "llm.view_call", "admin:llm_call_changelist"),
    ("Prices", "llm.view_price", "admin:llm_price_changelist"),
    ("Audit log of the data agent", "data_agent.view_auditevent", "admin:data_agent_auditevent_changelist"),
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A panel with what was found, None where its server does not answer."""

    panel: Panel
    found: Mapping[str, Any] | None


def may_see(request: HttpRequest) -> bool:
    """Return whether there is a panel for whoever asks."""
    return any(request.user.has_perm(panel.permission) for panel in PANELS)


@require_safe
def home(request: HttpRequest) -> TemplateResponse:
    """Show what stands in all servers, as far as this operator may see it."""
    panels = [panel for panel in PANELS if request.user.has_perm(panel.permission)]
    if not panels:
        raise PermissionDenied("Ask an administrator for the permission to view questions or model calls.")
    for panel in panels:
        panel.begin()
    context = {
        **admin.site.each_context(request),
        "title": "Operations",
        "panels": [_Shown(panel, _look(panel)) for panel in panels],
        "elsewhere": [(name, reverse(to)) for name, permission, to in _ELSEWHERE if request.user.has_perm(permission)],
        "now": timezone.now(),
    }
    return TemplateResponse(request, "admin/operations/home.html", context)


def _look(panel: Panel) -> Mapping[str, Any] | None:
    try:
        with brief_statements():
            return panel.look()
    except (DatabaseError, InterfaceError) as error:
        log.warning("a panel stays empty, PostgreSQL does not answer", panel=panel.title, error=type(error).__name__)
        return None
