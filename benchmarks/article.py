"""The peer: the chat in the article's synchronous style, beside ours in the same web server.

Two synchronous views, as small as they can be and yet right. The first stores the row, sends the question and waits
until the broker has it, for each message; the second reads the row whenever it is asked. Visitors ask it every 500 ms.
Its worker is `benchmarks.article_worker`. Middleware, cookies, CSRF, table and broker are the ones that ours has. What
it lacks counts for it: no outbox, budget, conversation or run log, and a question is lost when the broker is away.
"""

import json
from functools import cache
from typing import Any

from confluent_kafka import Producer
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from config.urls import handler403, handler404, handler500
from config.urls import urlpatterns as ours
from config.visitors import visitor_of
from kafka_chat import clients
from kafka_chat.models import ChatMessage

QUESTIONS = "article-questions"
ANSWERS = "article-answers"


@cache
def producer() -> Producer:
    """Return this process' producer."""
    return Producer(clients.connection())


def send(topic: str, **fields: Any) -> None:
    """Send a message about a question, and wait until the broker has it."""
    producer().produce(topic, json.dumps(fields), str(fields["message_id"]))
    producer().flush()


@require_POST
def ask(request: HttpRequest) -> JsonResponse:
    """Store a question and send it to the worker."""
    text = json.loads(request.body)["message"]
    row = ChatMessage.objects.create(session_id=visitor_of(request), message=text)
    send(QUESTIONS, message_id=str(row.message_id), message=text)
    poll_url = f"/article/check-answer/?message_id={row.message_id}"
    return JsonResponse({"message_id": row.message_id, "status": row.status, "poll_url": poll_url}, status=202)


@require_GET
def check_answer(request: HttpRequest) -> JsonResponse:
    """Return where a question stands."""
    row = get_object_or_404(ChatMessage, message_id=request.GET["message_id"], session_id=visitor_of(request))
    return JsonResponse({"message_id": row.message_id, "status": row.status, "response": row.response})


urlpatterns = [path("article/chat/", ask), path("article/check-answer/", check_answer), *ours]

__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]
