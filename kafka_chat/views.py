"""The Kafka chat's HTTP API: ask, look for the answer, read along, stop, rate, read back. See openapi.json."""

import uuid
from collections.abc import Callable, Coroutine, Mapping
from functools import cache, wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from config import askers
from config.observability import correlation, counting, tracing
from config.visitors import visitor_of
from kafka_chat import admission, asking, forms, questions, stopping, streaming, waiting
from kafka_chat.forms import InvalidInput
from kafka_chat.models import OPEN, ChatMessage
from kafka_chat.refusals import EXPECTED, Refusal, Unfinished, UnknownMessage, refusal_of
from kafka_chat.states import State, describe, told
from llm.timelines import marks

# Seconds after which a client should look again.
LOOK_AGAIN = 1
# Stands for a question's id in an address.
_AN_ID = "an-id"

AsyncView = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def _errors_as_json(view: AsyncView) -> AsyncView:
    """Turn what a view raises into a JSON answer with a code and a sentence."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except EXPECTED as error:
            return _error(refusal_of(error))

    return wrapper


@require_POST
@never_cache
@_errors_as_json
async def ask(request: HttpRequest) -> JsonResponse:
    """Accept a question: 202 with its id and where to look for the answer."""
    form = forms.read_ask(request.body)
    key = forms.read_idempotency_key(request.headers.get("Idempotency-Key"))
    arrived, visitor = timezone.now(), visitor_of(request)
    with counting.counting() as counted:
        asker = await askers.of_request(request)
        told = request.headers.get(tracing.HEADER)
        row = await admission.ask(asker, visitor, form.message, idempotency_key=key, traceparent=told)
    if row.created_at >= arrived:
        marks.note(row.trace_id, "written", accepted=arrived, counted=counted, chat="kafka", owner=visitor)
    correlation.bind(message_id=row.message_id, trace_id=row.trace_id)
    message_id = str(row.message_id)
    where = {name: address.replace(_AN_ID, message_id) for name, address in _addresses(get_script_prefix()).items()}
    accepted = {"message_id": message_id, "trace_id": str(row.trace_id), "status": row.status}
    return JsonResponse(accepted | where, status=202)


@require_GET
@never_cache
@_errors_as_json
async def check_answer(request: HttpRequest) -> JsonResponse:
    """Return where a question stands; 404 for somebody else's as for one that does not exist.

    With `wait`, an open question is held until it is finished, for at most so many seconds.
    """
    message_id = forms.read_message_id(request.GET.get("message_id"))
    correlation.bind(message_id=message_id)
    seconds = forms.read_wait(request.GET.get("wait"))
    if seconds:
        state = await waiting.until_finished(visitor_of(request), message_id, seconds)
    else:
        row = await asking.find(visitor_of(request), message_id)
        state = None if row is None else describe(row)
    if state is None:
        raise UnknownMessage
    return _show(state)


@require_GET
@never_cache
@_errors_as_json
async def events(request: HttpRequest, message_id: str) -> HttpResponseBase:
    """Stream an answer while it is written, as server-sent events."""
    after = forms.read_after(request.headers.get("Last-Event-ID"), request.GET.get("after"))
    row = _known(await asking.find(visitor_of(request), _id_in_path(message_id)))
    response = StreamingHttpResponse(streaming.events(row, after), content_type="text/event-stream; charset=utf-8")
    # Events must not wait in a proxy, neither to be compressed nor to be joined.
    patch_cache_control(response, no_transform=True)
    response.headers["X-Accel-Buffering"] = "no"
    return response


@require_POST
@never_cache
@_errors_as_json
async def stop(request: HttpRequest, message_id: str) -> JsonResponse:
    """Stop an answer: 200 with its state where it is finished, 202 where its worker was told."""
    form = forms.read_stop(request.body)
    row = _known(await stopping.stop(visitor_of(request), _id_in_path(message_id), form.seen))
    return _show(describe(row), status=202 if row.status in OPEN else 200)


@require_POST
@never_cache
@_errors_as_json
async def rate(request: HttpRequest, message_id: str) -> JsonResponse:
    """Keep what a visitor thinks of an answer of theirs, in place of what they thought."""
    form = forms.read_rating(request.body)
    visitor, question = visitor_of(request), _id_in_path(message_id)
    if not await sync_to_async(questions.rate)(visitor, question, form.rating or "", form.comment):
        _known(await asking.find(visitor, question))
        raise Unfinished
    return JsonResponse(form.model_dump())


@require_GET
@never_cache
@_errors_as_json
async def history(request: HttpRequest) -> JsonResponse:
    """Return a page of this visitor's questions, oldest first; `next` is where the page before it begins."""
    before = forms.read_cursor(request.GET.get("before"))
    limit = forms.read_limit(request.GET.get("limit"))
    rows = await sync_to_async(questions.history)(visitor_of(request), limit + 1, before=before)
    page = rows[-limit:]
    following = page[0].message_id if len(rows) > limit else None
    messages = [told(describe(row)) | {"rating": row.rating or None, "comment": row.comment} for row in page]
    return JsonResponse({"messages": messages, "next": following})


@cache
def _addresses(prefix: str) -> Mapping[str, str]:
    """Return where a question is looked for, read along and stopped, below the site's prefix."""
    return {
        "poll_url": f"{reverse('kafka_chat:check_answer')}?message_id={_AN_ID}",
        "events_url": reverse("kafka_chat:events", args=[_AN_ID]),
        "stop_url": reverse("kafka_chat:stop", args=[_AN_ID]),
    }


def _id_in_path(text: str) -> uuid.UUID:
    try:
        return forms.read_message_id(text)
    except InvalidInput:
        raise UnknownMessage from None


def _known(row: ChatMessage | None) -> ChatMessage:
    if row is None:
        raise UnknownMessage
    correlation.bind(message_id=row.message_id, trace_id=row.trace_id)
    return row


def _show(state: State, status: int = 200) -> JsonResponse:
    response = JsonResponse(told(state), status=status)
    if state["status"] in OPEN:
        response.headers["Retry-After"] = str(LOOK_AGAIN)
    return response


def _error(refusal: Refusal) -> JsonResponse:
    error = {"code": refusal.code, "message": refusal.message}
    response = JsonResponse({"error": error}, status=refusal.status)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response
