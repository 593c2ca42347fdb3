"""The auditors' pages: the log with filters, and the same as a file. A permission of its own opens them."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import addresses
from data_agent import access, audit, audit_search
from data_agent.audit_search import BadFilter, Filter
from data_agent.models import AuditEvent

_NAMES: Mapping[str, Any] = {
    "proposed": gettext_lazy("proposed"),
    "blocked": gettext_lazy("blocked"),
    "edited": gettext_lazy("edited"),
    "approved": gettext_lazy("approved"),
    "rejected": gettext_lazy("rejected"),
    "skipped": gettext_lazy("skipped"),
    "expired": gettext_lazy("expired"),
    "executed": gettext_lazy("executed"),
    "failed": gettext_lazy("failed"),
    "cancelled": gettext_lazy("cancelled"),
    "answered": gettext_lazy("answered"),
    "asked": gettext_lazy("asked"),
    "replied": gettext_lazy("replied"),
    "shared": gettext_lazy("shared"),
    "unshared": gettext_lazy("unshared"),
    "downloaded": gettext_lazy("downloaded"),
    "verified": gettext_lazy("verified"),
    "unverified": gettext_lazy("unverified"),
}


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the newest events that the filter names. To others the page is not there."""
    _auditor(request)
    chosen = Filter.of({name: str(value) for name, value in request.GET.items()})
    query = {name: value for name, value in request.GET.items() if name != "before" and value}
    context: dict[str, Any] = {
        "chosen": chosen,
        "kinds": _NAMES,
        "query": urlencode(query),
        "narrowed": bool(chosen.session or chosen.step or chosen.fingerprint),
    }
    try:
        before = int(request.GET.get("before") or 0)
        events, more = audit_search.page(chosen.events(), before or None)
    except BadFilter as error:
        return render(request, "data_agent/audit.html", context | {"problem": str(error)}, status=400)
    except ValueError:
        raise Http404("There is no such page.") from None
    context["events"] = [
        (event, _NAMES.get(event.kind, event.kind), json.dumps(event.verdict, ensure_ascii=False, indent=1))
        for event in events
    ]
    context["later"] = before > 0
    context["older"] = urlencode(query | {"before": events[-1].pk}) if more else ""
    return render(request, "data_agent/audit.html", context)


@never_cache
@require_safe
async def export(request: HttpRequest, kind: str) -> HttpResponse | StreamingHttpResponse:
    """Send the events that the filter names as CSV or JSON Lines, the oldest first, and log that."""
    user = await request.auser()
    writer = {"csv": audit_search.as_csv, "jsonl": audit_search.as_json_lines}.get(kind)
    if writer is None or not await sync_to_async(access.may_audit)(user):
        raise Http404("There is nothing at this address for this account.")
    chosen = Filter.of({name: str(value) for name, value in request.GET.items()})
    try:
        events = chosen.events()
    except BadFilter as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
    await sync_to_async(_record_export)(request, user, kind, events)
    types = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
    body = await sync_to_async(lambda: list(writer(events)))()
    response = HttpResponse("".join(body), content_type=types[kind])
    response["Content-Disposition"] = f'attachment; filename="audit-log.{kind}"'
    return response


def _record_export(request: HttpRequest, user: Any, kind: str, events: QuerySet[AuditEvent]) -> None:
    person = audit.Person(user.pk, user.get_username(), addresses.of_request(request))
    asked = {name: str(value) for name, value in request.GET.items()}
    audit.record("downloaded", person, verdict={"audit_log": kind, "filter": asked}, rows=events.count())


def _auditor(request: HttpRequest) -> User:
    user = request.user
    if not user.is_authenticated or not access.may_audit(user):
        raise Http404("There is nothing at this address for this account.")
    return user
