"""The data agent's page. What happens on it comes over the WebSocket."""

import uuid
from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from data_agent import access
from data_agent.models import Session
from data_agent.schema import TABLES

SESSIONS_LISTED = 12
SUGGESTIONS = (
    "What is the revenue in each month?",
    "Which 10 customers spent the most money?",
    "What share of purchases was refunded in each category?",
    "Which laptops have at least 16 GB of memory?",
)


@require_safe
async def workspace(request: HttpRequest, session_id: uuid.UUID | None = None) -> HttpResponse:
    """Show the workspace; to others say how to get in (403). Somebody else's session is a 404."""
    user = await request.auser()
    if not await sync_to_async(access.may_use)(user):
        who = {"user": user, "signed_in": user.is_authenticated, "username": user.get_username()}
        return render(request, "data_agent/sign_in.html", who, status=403)
    own = Session.objects.filter(owner_id=user.pk)
    sessions = [session async for session in own[:SESSIONS_LISTED]]
    if session_id and not await own.filter(pk=session_id).aexists():
        raise Http404("There is no such conversation.")
    context: dict[str, Any] = {
        # Loaded already; the template's own way to the user is a query that may not be made in a coroutine.
        "user": user,
        "session_id": session_id,
        "is_new": "new" in request.GET,
        "sessions": sessions,
        "tables": TABLES,
        "suggestions": SUGGESTIONS,
    }
    return render(request, "data_agent/workspace.html", context)
