"""The operators' page of the admin: how the site is doing, and where to look further.

Each panel stands for itself. One whose server is away says so in a sentence, and nobody waits longer than
`looking.PATIENCE` for all of them. Who an operator is stands in PostgreSQL: while that does not answer nobody is let
in, and the page says so.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django.views.decorators.http import require_safe

from config import database, patience
from config.panels import Panel, brief_statements
from kafka_chat import panels as kafka_panels
from llm import panels as llm_panels

log = structlog.get_logger(__name__)

# Seconds for PostgreSQL to say that it is there.
PATIENCE = 2.0

# What has plots comes below what is read at a glance.
PANELS: tuple[Panel, ...] = tuple(sorted((*kafka_panels.PANELS, *llm_panels.PANELS), key=lambda panel: panel.is_wide))

# Pages that have a list of their own: name, permission, address.
_ELSEWHERE = (
    (gettext_noop("Questions"), "kafka_chat.view_chatmessage", "admin:kafka_chat_chatmessage_changelist"),
    (gettext_noop("Dead letters"), "kafka_chat.view_chatmessage", "dead-letters"),
    (gettext_noop("Outbox"), "kafka_chat.view_outboxentry", "admin:kafka_chat_outboxentry_changelist"),
    (gettext_noop("WebSocket runs"), "ws_chat.view_chatmessage", "admin:ws_chat_chatmessage_changelist"),
    (gettext_noop("Model calls"), "llm.view_call", "admin:llm_call_changelist"),
    (gettext_noop("Prices"), "llm.view_price", "admin:llm_price_changelist"),
    (
        gettext_noop("Audit log of the data agent"),
        "data_agent.view_auditevent",
        "admin:data_agent_auditevent_changelist",
    ),
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A panel with what was found, None where its server does not answer."""

    panel: Panel
    found: Mapping[str, Any] | None


def page(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]:
    """Return a view for people who have signed in to the admin, which answers 503 while PostgreSQL does not answer.

    It is asked first, where a wait can be cut off; in a view's thread it cannot.
    """
    for_staff = admin.site.admin_view(view)

    def whole(request: HttpRequest) -> HttpResponse:
        response: Any = for_staff(request)
        return response.render() if isinstance(response, TemplateResponse) else response

    @wraps(view)
    async def serve(request: HttpRequest) -> HttpResponse:
        try:
            await _knock()
            return await sync_to_async(whole)(request)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            log.warning("an operators' page is refused, PostgreSQL does not answer", error=type(error).__name__)
            return _without_database()

    return serve


async def _knock() -> None:
    """Return when PostgreSQL has answered; raises TimeoutError, or what its client raises."""
    await patience.within(PATIENCE, database.rows("SELECT 1", ()))


def _without_database() -> HttpResponse:
    # Made without the request: who asks stands in the database.
    sentence = gettext(
        "PostgreSQL does not answer, so nobody can be let in. Ask /readyz from this machine how the servers are."
    )
    response = HttpResponse(
        render_to_string("500.html", {"message": sentence}), status=HTTPStatus.SERVICE_UNAVAILABLE.value
    )
    response.headers["Retry-After"] = "5"
    return response


@require_safe
def home(request: HttpRequest) -> TemplateResponse:
    """Show what stands in all servers, as far as this operator may see it."""
    panels = [panel for panel in PANELS if request.user.has_perm(panel.permission)]
    if not panels:
        raise PermissionDenied(gettext("Ask an administrator for the permission to view questions or model calls."))
    for panel in panels:
        panel.begin()
    context = {
        **admin.site.each_context(request),
        "title": gettext("Operations"),
        "panels": [_Shown(panel, _look(panel)) for panel in panels],
        "elsewhere": [
            (gettext(name), reverse(to)) for name, permission, to in _ELSEWHERE if request.user.has_perm(permission)
        ],
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
