"""The about page, where both chats are, and the pages for what went wrong."""

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from config import askers
from config.visitors import visitor_of
from kafka_chat import admission, forms, questions
from kafka_chat.models import ChatMessage as Question
from kafka_chat.refusals import EXPECTED, TRY_AGAIN, Refusal, refusal_of
from kafka_chat.states import describe, told
from llm import markdown
from llm.models import Profile
from ws_chat import transcript
from ws_chat.models import ChatMessage as Run
from ws_chat.models import Status as RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and its answer, as both panels show them. Durations are milliseconds since the question."""

    question: str
    trace: str
    # The id of the WebSocket chat's run or of the Kafka chat's message; only the former belong to turns.
    run: str
    turn: str = ""
    rating: str
    comment: str
    # pending, answered, stopped, interrupted or failed
    state: str
    html: SafeString
    error: str
    # Where to look for an answer that is pending.
    poll_url: str = ""
    provider: str
    model: str
    fallback: bool
    first_token_ms: int | None
    total_ms: int | None


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_cache=True)
async def about(request: HttpRequest) -> HttpResponse:
    """Show both chats, with what this visitor asked before.

    A POST asks the Kafka chat: it comes from browsers without JavaScript, or from people faster than the page's own.
    """
    if request.method != "POST":
        return await sync_to_async(_page)(request)
    try:
        form, key = forms.read_page_form(request.POST.dict())
        asker = await askers.of_request(request)
        await admission.ask(asker, visitor_of(request), form.message, idempotency_key=key)
    except EXPECTED as error:
        return await sync_to_async(_page)(request, refusal_of(error))
    return redirect("about")


def _page(request: HttpRequest, refusal: Refusal | None = None) -> HttpResponse:
    """Return the page. With PostgreSQL away nothing of before is in it, and the text that was sent all the same."""
    visitor = visitor_of(request)
    try:
        runs, earlier = transcript.page(visitor)
        asked = [_of_question(row) for row in questions.history(visitor)]
        profile = Profile.current()
    except (OperationalError, InterfaceError) as error:
        (runs, earlier), asked, profile = ([], None), [], Profile()
        refusal = refusal_of(error)
        # The page's header would ask PostgreSQL who has signed in.
        request.user = AnonymousUser()
    context = {
        "profile": profile,
        "questions": asked,
        # Whether a page that cannot look for answers is to be loaded again, which would cost a refused text.
        "comes_back": refusal is None and any(exchange.state == "pending" for exchange in asked),
        "refusal": refusal,
        "draft": "" if refusal is None else request.POST.get("message", ""),
        "form_key": secrets.token_urlsafe(16),
        "runs": [_of_run(row) for row in runs],
        # Where the page before them begins.
        "earlier_runs": earlier,
    }
    response = render(request, "about.html", context, status=200 if refusal is None else refusal.status)
    if refusal is not None and refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address that leads nowhere."""
    return _problem(request, HTTPStatus.NOT_FOUND, "not_found", gettext("There is nothing at this address."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for what this visitor may not see; the exception's text, where it has one, says why."""
    sentence = str(exception) or gettext("Sign in with an account that may see this page, then open it again.")
    return _problem(request, HTTPStatus.FORBIDDEN, "forbidden", sentence)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer for a form whose CSRF token is missing or out of date."""
    sentence = gettext("This page is out of date, or cookies are blocked. Reload the page, then send it again.")
    return _problem(request, HTTPStatus.FORBIDDEN, "csrf", sentence, template="403_csrf.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for a fault of ours. Nothing here may ask a database: it may be the cause."""
    sentence = gettext("Please try again in a moment. What happened is in the server's log.")
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if _wants_json(request):
        return _as_json(status, "server_error", sentence)
    return HttpResponse(render_to_string("500.html", {"message": sentence}), status=status)


def database_away(request: HttpRequest) -> HttpResponse:
    """Answer for what needs PostgreSQL while that does not answer. Nothing here may ask it."""
    sentence = gettext("Nothing can be stored or looked up right now. Please try again in a few seconds.")
    status = HTTPStatus.SERVICE_UNAVAILABLE
    if _wants_json(request):
        response: HttpResponse = _as_json(status, "database_away", sentence)
    else:
        response = HttpResponse(render_to_string("500.html", {"message": sentence}), status=status)
    response.headers["Retry-After"] = str(TRY_AGAIN)
    return response


def _problem(request: HttpRequest, status: HTTPStatus, code: str, sentence: str, *, template: str = "") -> HttpResponse:
    if _wants_json(request):
        return _as_json(status, code, sentence)
    return render(request, template or f"{status.value}.html", {"message": sentence}, status=status)


def _wants_json(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _as_json(status: HTTPStatus, code: str, sentence: str) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": sentence}}, status=status)


def _of_question(row: Question) -> Exchange:
    seen = told(describe(row))
    known: dict[str, Any] = {name: seen[name] for name in ("error", "provider", "model", "fallback")}
    state = row.status if row.status in ("answered", "failed", "stopped") else "pending"
    return Exchange(
        question=row.message,
        trace=str(row.trace_id),
        run=str(row.message_id),
        rating=row.rating,
        comment=row.comment,
        state=state,
        html=_trusted(seen["html"]),
        poll_url=f"{reverse('kafka_chat:check_answer')}?message_id={row.message_id}" if state == "pending" else "",
        first_token_ms=seen["timings"]["first_token_ms"],
        total_ms=seen["timings"]["total_ms"],
        **known,
    )


def _of_run(row: Run) -> Exchange:
    states = {RunStatus.DONE.value: "answered", RunStatus.ERROR.value: "failed"}
    return Exchange(
        question=row.question,
        trace=str(row.trace_id),
        run=str(row.run_id),
        turn=str(row.turn_id),
        rating=row.rating,
        comment=row.comment,
        state=states.get(row.status, row.status),
        html=_trusted(markdown.render(row.answer)),
        error=gettext(row.error),
        provider=row.provider,
        model=row.model,
        fallback=row.fallback,
        first_token_ms=row.first_token_ms,
        total_ms=row.total_ms,
    )


def _trusted(html: str) -> SafeString:
    """Mark what `llm.markdown` made, and nothing else, as safe for a template."""
    return mark_safe(html)
