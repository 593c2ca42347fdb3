"""Where no WebSocket can be had, a page goes on with its answer here: the same frames, the same cursor."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

from config.observability import correlation
from config.serving.silence import or_silence
from config.visitors import visitor_of
from ws_chat import protocol, retrieval

# Seconds between signs of life: proxies commonly cut what is silent for 30.
HEARTBEAT = 12.0
# Seconds that a request may be held.
MAX_WAIT = 20
# Seconds in which what is there already comes along.
_AT_ONCE = 0.02
_CURSOR_DIGITS = 15


@require_GET
@cache_control(no_store=True, no_transform=True)
async def events(request: HttpRequest, run: UUID) -> HttpResponseBase:
    """Stream a run's frames after `after`, or after `Last-Event-ID`, as server-sent events."""
    after = max(_number(request.GET.get("after")), _number(request.headers.get("Last-Event-ID")))
    correlation.bind(run=run)
    try:
        found = await retrieval.resume(visitor_of(request), run, after)
    except protocol.Refused as refused:
        return _refusal(refused)
    response = StreamingHttpResponse(_as_events(found), content_type="text/event-stream; charset=utf-8")
    # For nginx.
    response["X-Accel-Buffering"] = "no"
    return response


@require_GET
@cache_control(no_store=True)
async def frames(request: HttpRequest, run: UUID) -> HttpResponseBase:
    """Return a run's frames after `after`; where there are none yet, hold the request for `wait` seconds."""
    correlation.bind(run=run)
    try:
        found = await retrieval.resume(visitor_of(request), run, _number(request.GET.get("after")))
    except protocol.Refused as refused:
        return _refusal(refused)
    wait = min(_number(request.GET.get("wait")), MAX_WAIT)
    got: list[protocol.ServerFrame] = []
    async with aclosing(or_silence(found, wait, _AT_ONCE)) as parts:
        async for part in parts:
            if part is None:
                break
            got.append(part)
    return HttpResponse(f'{{"frames":[{",".join(map(protocol.encode, got))}]}}', content_type="application/json")


@require_GET
@cache_control(no_store=True)
async def history(request: HttpRequest) -> HttpResponseBase:
    """Return the visitor's latest turns, or those before the turn `before`."""
    try:
        before = UUID(request.GET["before"]) if "before" in request.GET else None
    except ValueError:
        return _error(HTTPStatus.BAD_REQUEST, "invalid_cursor", gettext("That is no place in a conversation."))
    try:
        page = await retrieval.history(visitor_of(request), before)
    except protocol.Refused as refused:
        return _refusal(refused)
    return JsonResponse(page.model_dump(mode="json"))


async def _as_events(found: AsyncGenerator[protocol.ServerFrame]) -> AsyncGenerator[str]:
    # At once, so that the page knows that nothing in between holds it back.
    yield "event: heartbeat\ndata: {}\n\n"
    async with aclosing(or_silence(found, HEARTBEAT, HEARTBEAT)) as parts:
        async for part in parts:
            if part is None:
                yield "event: heartbeat\ndata: {}\n\n"
                continue
            number = f"id: {part.seq}\n" if isinstance(part, protocol.Delta) else ""
            yield f"{number}data: {protocol.encode(part)}\n\n"


def _number(value: str | None) -> int:
    """Return a number of a query; what is none counts as 0."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= _CURSOR_DIGITS else 0


def _refusal(refused: protocol.Refused) -> JsonResponse:
    status = HTTPStatus.SERVICE_UNAVAILABLE if refused.code == "unavailable" else HTTPStatus.NOT_FOUND
    return _error(status, refused.code, refused.message)


def _error(status: HTTPStatus, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
