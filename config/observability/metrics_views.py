"""Where Prometheus reads a web process' metrics, and the site's: `/metrics`, for operators."""

import asyncio

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from config import operators
from config.observability import looking, loop_lag  # noqa: F401

# They have gauges of the whole site.
from kafka_chat import backlog  # noqa: F401
from llm import circuits  # noqa: F401


@require_safe
@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    """Show this process's metrics and the site's to operators; nobody else learns anything from it."""
    if not await operators.asks(request):
        return HttpResponseForbidden(
            "Metrics are for operators: ask from this machine, or with OPERATOR_TOKEN as the bearer token.\n",
            content_type="text/plain; charset=utf-8",
        )
    return HttpResponse(await asyncio.to_thread(_text), content_type=CONTENT_TYPE_LATEST)


def _text() -> bytes:
    looking.begin()
    return generate_latest(REGISTRY) + generate_latest(looking.SITE)
