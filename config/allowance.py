"""What a visitor may still ask, for the page: both chats take from the same budget."""

from dataclasses import asdict
from http import HTTPStatus

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import askers
from llm import budgets


@require_safe
@never_cache
async def remaining(request: HttpRequest) -> JsonResponse:
    """Say what is left: questions `per_minute` and `per_hour`, `tokens_per_day`; null for no limit.

    503 while nobody knows, because Redis or, where somebody has signed in, PostgreSQL is away. Nothing is counted here.
    """
    try:
        left = await budgets.remaining(await askers.of_request(request))
    except (DatabaseError, InterfaceError):
        left = None
    if left is None:
        error = {"code": "unknown_budget", "message": gettext("What is left of the budget is not known right now.")}
        return JsonResponse({"error": error}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    return JsonResponse(asdict(left))
