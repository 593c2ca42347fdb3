"""Whether this process lives, and whether it can do its work.

`ready` means that it can. `degraded` means that it can do less, and is no reason to send visitors elsewhere: without
Redis limits are small and per process, and where every provider of the chat is known to be failing visitors get a
sentence, which they would not get from a proxy that has no process left. `not ready` (503) means that it cannot.
"""

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import redis.asyncio
import structlog
from channels.db import database_sync_to_async
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kafka_chat import clients
from llm import breaker
from llm.shared_state import Away

log = structlog.get_logger(__name__)

# Seconds for one server to answer.
PATIENCE = 3.0

State = Literal["ok", "away", "not checked"]
# Without this one everything goes on, somehow.
_SPARE = "redis"


@require_safe
@never_cache
async def alive(request: HttpRequest) -> JsonResponse:
    """Say that the process serves requests."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
async def ready(request: HttpRequest) -> JsonResponse:
    """Say which servers answer, and which providers' circuits are open; 503 where a server that is needed is away."""
    states = dict(zip(_CHECKS, await asyncio.gather(*map(_state, _CHECKS)), strict=True))
    circuits = await _circuits()
    limited = circuits is None or states[_SPARE] == "away"
    silent = circuits is not None and all(circuits[name] == "open" for name in settings.LLM_CHAINS["chat"])
    able = all(state != "away" for server, state in states.items() if server != _SPARE)
    status = "not ready" if not able else "degraded" if limited or silent else "ready"
    return JsonResponse(
        {"status": status, **states, "limits": "degraded" if limited else "ok", "circuits": circuits or {}},
        status=200 if able else 503,
    )


async def _circuits() -> dict[str, breaker.State] | None:
    """Return where each provider stands, None where nobody knows because Redis is away."""
    names = [name for chain in settings.LLM_CHAINS.values() for name in chain]
    try:
        return {name: circuit.state for name, circuit in (await breaker.from_settings().states(names)).items()}
    except Away:
        return None


async def _state(server: str) -> State:
    try:
        async with asyncio.timeout(PATIENCE):
            return await _CHECKS[server]()
    except Exception as error:
        # Each client has exceptions of its own, and all mean the same here.
        log.warning("a server does not answer", server=server, error=type(error).__name__)
        return "away"


@database_sync_to_async
def _postgresql() -> State:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


async def _kafka() -> State:
    await asyncio.to_thread(_list_topics)
    return "ok"


def _list_topics() -> None:
    AdminClient(clients.connection()).list_topics(timeout=PATIENCE - 0.5)


async def _redis() -> State:
    async with redis.asyncio.from_url(settings.REDIS_URL) as client:
        # Typed as if it could be synchronous, too.
        pong: Any = client.ping()
        await pong
    return "ok"


async def _model() -> State:
    """Look at the local model where the chat depends on it; paid services are not asked for their health."""
    if settings.LLM_CHAINS["chat"] != ("local",):
        return "not checked"
    await asyncio.to_thread(_fetch, f"{settings.ENVIRONMENT.llm_local_url}/health")
    return "ok"


def _fetch(url: str) -> None:
    with urllib.request.urlopen(url, timeout=PATIENCE - 0.5):
        pass


_CHECKS: dict[str, Callable[[], Awaitable[State]]] = {
    "postgresql": _postgresql,
    "kafka": _kafka,
    "redis": _redis,
    "model": _model,
}
