"""The data agent's page, and what it fetches besides. What happens on it comes over the WebSocket."""

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from config import addresses
from config.translating import translated
from data_agent import access, samples, steps
from data_agent.audit import Person
from data_agent.errors import NotFound, Unavailable
from data_agent.models import Session
from data_agent.result_views import visitor
from data_agent.schema import TABLES

SUGGESTIONS = (
    "What is the revenue in each month?",
    "Which 10 customers spent the most money?",
    "What share of purchases was refunded in each category?",
    "Which laptops have at least 16 GB of memory?",
)


@require_safe
async def workspace(request: HttpRequest, session_id: uuid.UUID | None = None) -> HttpResponse:
    """Show the workspace; to others say how to get in (403), and lead who may only audit to the log.

    Somebody else's session that is not shared is a 404.
    """
    user = await request.auser()
    person = await sync_to_async(access.person_of)(user, addresses.of_request(request))
    may_audit = await sync_to_async(access.may_audit)(user)
    if person is None and may_audit and session_id is None:
        return redirect("data_agent:audit")
    if person is None:
        who = {"user": user, "signed_in": user.is_authenticated, "username": user.get_username()}
        return render(request, "data_agent/sign_in.html", who, status=403)
    if session_id and not await steps.sessions_of(person).filter(pk=session_id).aexists():
        raise Http404("There is no such conversation.")
    sessions, more = await steps.listed(person, 1)
    context: dict[str, Any] = {
        # Loaded already; the template's own way to the user is a query that may not be made in a coroutine.
        "user": user,
        "person": person,
        "may_audit": may_audit,
        "session_id": session_id,
        "is_new": "new" in request.GET,
        "sessions": sessions,
        "more_sessions": more,
        "tables": TABLES,
        "suggestions": SUGGESTIONS,
    }
    return render(request, "data_agent/workspace.html", context)


@require_safe
@cache_control(private=True, no_cache=True)
async def sessions(request: HttpRequest) -> HttpResponse:
    """Answer with a page of the conversations that a person may read, the newest first: `?page=2`."""
    person = await visitor(request)
    try:
        page = max(1, int(request.GET.get("page", 1)))
    except ValueError:
        raise Http404("There is no such page.") from None
    found, more = await steps.listed(person, page)
    return JsonResponse({"sessions": [_listed(session, person) for session in found], "page": page, "more": more})


@require_safe
@cache_control(private=True, no_cache=True)
async def sample(request: HttpRequest, table: str) -> HttpResponse:
    """Answer with a few rows of a table, as this person may see them."""
    person = await visitor(request)
    try:
        found = await samples.rows(person, table)
    except NotFound as error:
        raise Http404(str(error)) from None
    except Unavailable as error:
        return JsonResponse({"error": {"code": error.code, "message": translated(error.sentence)}}, status=503)
    columns = [{"name": column.name, "type": column.type, "numeric": column.numeric} for column in found.columns]
    return JsonResponse({"table": table, "columns": columns, "rows": found.rows})


def _listed(session: Session, person: Person) -> dict[str, Any]:
    return {
        "id": session.pk,
        "title": session.title,
        "created_at": session.created_at,
        "when": date_format(timezone.localtime(session.created_at), gettext("j M Y, H:i")),
        "mine": session.owner_id == person.id,
        "owner": session.owner.get_username(),
        "url": reverse("data_agent:session", args=[session.pk]),
    }
