"""What a visitor may still ask, for the page: both chats take from the same budget."""

from dataclasses import asdict
from http import HTTPStatus

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import askers
from llm import budgets


@require_safe
@never_cache
async def remaining(request: HttpRequest) -> HttpResponse:
    """Say what is left: questions `per_minute` and `per_hour`, `tokens_per_day`; null for no limit.

    Nothing (204) while nobody knows, because Redis or, where somebody has signed in, PostgreSQL is away: questions may
    be answered all the same. Nothing is counted here.
    """
    try:
        left = await budgets.remaining(await askers.of_request(request))
    except (DatabaseError, InterfaceError):
        left = None
    if left is None:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return JsonResponse(asdict(left))
