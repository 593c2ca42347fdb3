"""Timelines over HTTP: a page says what it has seen, and asks for its visitor's own."""

from collections.abc import Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from redis.exceptions import RedisError

from config.visitors import visitor_of
from llm.timelines import drawing, reports, words
from llm.timelines.models import Timeline

AsyncView = Callable[..., Coroutine[Any, Any, HttpResponse]]


def _errors_as_json(view: AsyncView) -> AsyncView:
    @wraps(view)
    async def wrapper(request: HttpRequest) -> HttpResponse:
        try:
            return await view(request)
        except reports.Unacceptable:
            return _error(HTTPStatus.BAD_REQUEST, "unacceptable", "That is no report of an answer.")
        except reports.Unknown:
            return _error(HTTPStatus.NOT_FOUND, "unknown", "There is no such question of this visitor's last hour.")
        except RedisError:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Please try again in a few seconds.")

    return wrapper


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@_errors_as_json
async def timelines(request: HttpRequest) -> HttpResponse:
    """Take a report and return its timeline in a line; or return those of the questions that the query names."""
    visitor = visitor_of(request)
    if request.method == "POST":
        return JsonResponse(_brief(await reports.record(visitor, reports.read(request.body))))
    found = await sync_to_async(reports.own)(visitor, _traces(request))
    return JsonResponse({"timelines": [_brief(each) for each in found]})


@require_safe
@never_cache
@_errors_as_json
async def drawn(request: HttpRequest) -> HttpResponse:
    """Return the drawing of the questions that the query names, above each other, as a part of a page."""
    found = await sync_to_async(reports.own)(visitor_of(request), _traces(request))
    if not found:
        raise reports.Unknown
    return render(request, "timeline.html", {"drawing": drawing.of(found)})


def _traces(request: HttpRequest) -> list[UUID]:
    try:
        traces = [UUID(text) for text in request.GET.getlist("trace")]
    except ValueError:
        raise reports.Unacceptable from None
    if not 0 < len(traces) <= reports.MOST:
        raise reports.Unacceptable
    return list(dict.fromkeys(traces))


def _brief(timeline: Timeline) -> dict[str, str]:
    return {"trace": str(timeline.trace_id), "summary": words.summary(timeline)}


def _error(status: HTTPStatus, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
