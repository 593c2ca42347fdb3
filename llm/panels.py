"""What the operators' page shows of the models: calls and what they cost, budgets, circuits."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_noop

from config.formats import written
from config.panels import Panel
from llm import breaker, budgets, registry
from llm.budgets import Use
from llm.ledger import summary
from llm.limits import Limits
from llm.models import Call
from llm.shared_state import Away

# Days that the totals go back.
DAYS = 30
_SESSIONS = {
    "anonymous": gettext_noop("anonymous session"),
    "signed-in": gettext_noop("signed-in session"),
    "staff": gettext_noop("staff session"),
}


def _calls() -> Mapping[str, Any]:
    since = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    address = reverse("admin:llm_call_changelist")
    calls = Call.objects.filter(started_at__gte=since)
    return {"summary": summary.of(calls, lambda filters: f"{address}?{urlencode(filters)}"), "days": DAYS}


def _budgets() -> Mapping[str, Any]:
    limits: dict[str, tuple[str, Limits]] = {
        **{tier: (gettext(_SESSIONS[tier]), limits) for tier, limits in settings.LLM_BUDGETS.items()},
        budgets.ADDRESSES: (gettext("network address"), settings.LLM_BUDGET_ADDRESS),
    }
    found = async_to_sync(budgets.busiest)(list(limits))
    used = found or {}
    return {
        "is_known": found is not None,
        "limits": [
            (whom, used[kind].subjects if kind in used else None, _cells(each, used.get(kind)))
            for kind, (whom, each) in limits.items()
        ],
    }


def _cells(limits: Limits, used: Use | None) -> list[tuple[str, str, bool]]:
    """Return for each limit what is used of it, the limit, and whether nothing of it is left."""
    most = (used.per_minute, used.per_hour, used.tokens_per_day) if used else (None, None, None)
    each = zip(most, (limits.per_minute, limits.per_hour, limits.tokens_per_day), strict=True)
    return [
        ("", gettext("no limit"), False)
        if limit is None
        else ("" if number is None else written(number), written(limit), number is not None and number >= limit)
        for number, limit in each
    ]


def _circuits() -> Mapping[str, Any] | None:
    try:
        return {"circuits": async_to_sync(_states)()}
    except Away:
        return None


async def _states() -> dict[str, breaker.Circuit]:
    return await breaker.from_settings().states(registry.names())


PANELS = (
    Panel(
        title=gettext_noop("Circuits"),
        permission="llm.view_call",
        template="admin/operations/circuits.html",
        look=_circuits,
        silence=gettext_noop(
            "Redis does not answer. Until it does every provider is asked, whatever came of the last calls."
        ),
    ),
    Panel(
        title=gettext_noop("Model calls and their cost"),
        permission="llm.view_call",
        template="admin/operations/calls.html",
        look=_calls,
        is_wide=True,
        silence=gettext_noop(
            "PostgreSQL does not answer. Calls are kept in memory meanwhile; reload this page when it is back."
        ),
    ),
    Panel(
        title=gettext_noop("Budgets"),
        permission="llm.view_call",
        template="admin/operations/budgets.html",
        look=_budgets,
        silence="",
    ),
)
