"""The Kafka chat's HTTP API: ask, look whether there is an answer, read back."""

import uuid
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from config.visitors import visitor_of
from kafka_chat import questions, waiting
from kafka_chat.forms import InvalidInput, read_ask, read_idempotency_key, read_message_id, read_wait
from kafka_chat.models import OPEN, ChatMessage
from llm import markdown

log = structlog.get_logger(__name__)

# Seconds after which a client should look again.
LOOK_AGAIN = 1
TRY_AGAIN = 10

AsyncView = Callable[..., Coroutine[Any, Any, JsonResponse]]


def _errors_as_json(view: AsyncView) -> AsyncView:
    """Turn what a view raises into a JSON answer with a code and a sentence."""

    @wraps(view)
    async def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        try:
            return await view(request, *args, **kwargs)
        except InvalidInput as error:
            return _error(400, error.code, error.message)
        except RequestDataTooBig:
            return _error(413, "request_too_large", "The request is too large. Please shorten the message.")
        except (OperationalError, InterfaceError) as error:
            log.error("PostgreSQL cannot be reached", error=type(error).__name__)
            sentence = "The chat cannot store anything right now. Please try again in a few seconds."
            return _error(503, "database_away", sentence, retry_after=TRY_AGAIN)

    return wrapper


@require_POST
@never_cache
@_errors_as_json
async def ask(request: HttpRequest) -> JsonResponse:
    """Accept a question: 202 with its id and where to look for the answer."""
    form = read_ask(request.body)
    key = read_idempotency_key(request.headers.get("Idempotency-Key"))
    row = await sync_to_async(questions.ask)(visitor_of(request), form.message, idempotency_key=key)
    poll_url = f"{reverse('kafka_chat:check_answer')}?message_id={row.message_id}"
    return JsonResponse({"message_id": row.message_id, "status": row.status, "poll_url": poll_url}, status=202)


@require_GET
@never_cache
@_errors_as_json
async def check_answer(request: HttpRequest) -> JsonResponse:
    """Return where a question stands; 404 for somebody else's as for one that does not exist.

    With `wait`, an open question is held until it is finished, for at most so many seconds.
    """
    message_id = read_message_id(request.GET.get("message_id"))
    seconds = read_wait(request.GET.get("wait"))
    visitor_id = visitor_of(request)
    if seconds:
        row = await _look_until_finished(visitor_id, message_id, seconds)
    else:
        row = await _look(visitor_id, message_id)
    if row is None:
        return _error(404, "unknown_message", "There is no such question in this conversation.")
    response = JsonResponse(describe(row))
    if row.status in OPEN:
        response.headers["Retry-After"] = str(LOOK_AGAIN)
    return response


@require_GET
@never_cache
@_errors_as_json
async def history(request: HttpRequest) -> JsonResponse:
    """Return this visitor's latest questions, oldest first."""
    rows = await sync_to_async(questions.history)(visitor_of(request))
    return JsonResponse({"messages": [describe(row) for row in rows]})


async def _look(visitor_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
    return await sync_to_async(questions.find)(visitor_id, message_id)


async def _look_until_finished(visitor_id: uuid.UUID, message_id: uuid.UUID, seconds: float) -> ChatMessage | None:
    # Registered before the row is read, so that an answer in between is not missed.
    async with waiting.waiters().registered(message_id) as wait:
        row = await _look(visitor_id, message_id)
        if row is None or row.status not in OPEN:
            return row
        # A held request must not hold a connection of the pool.
        await sync_to_async(close_old_connections)()
        await wait(seconds)
        return await _look(visitor_id, message_id)


def describe(row: ChatMessage) -> dict[str, Any]:
    """Return a question as the API shows it. Times are ISO 8601, durations milliseconds from the question on."""
    answered = row.answered_at is not None
    return {
        "message_id": row.message_id,
        "trace_id": row.trace_id,
        "status": row.status,
        "message": row.message,
        "response": row.response,
        "html": markdown.render(row.response) if answered else "",
        "error": row.error,
        "provider": row.provider,
        "model": row.model,
        "fallback": row.fallback,
        "created_at": row.created_at,
        "answered_at": row.answered_at,
        "timings": {
            "picked_up_ms": _since_asked(row, "picked_up_at"),
            "first_token_ms": _since_asked(row, "first_token_at"),
            "total_ms": _since_asked(row, "answered_at"),
        },
    }


def _since_asked(row: ChatMessage, field: str) -> int | None:
    moment = getattr(row, field)
    return None if moment is None else round((moment - row.created_at).total_seconds() * 1000)


def _error(status: int, code: str, message: str, *, retry_after: int | None = None) -> JsonResponse:
    response = JsonResponse({"error": {"code": code, "message": message}}, status=status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
