"""Whether this process lives, and whether it can do its work.

`ready` means that it can. `degraded` means that it can do less, and is no reason to send visitors elsewhere: without
Redis limits are small and per process, without the coder (the local model that writes SQL, where it is another one)
nobody proposes SQL, and where every provider of the chat is known to be failing visitors get a sentence, which they
would not get from a proxy that has no process left. `not ready` (503) means that it cannot. `warnings` are sentences
for operators about what is not as configured; they change nothing else.
"""

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

import redis.asyncio
import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kafka_chat import topics
from llm import breaker
from llm.shared_state import Away
from llm.types import Purpose

log = structlog.get_logger(__name__)

# Seconds for one server to answer.
PATIENCE = 3.0

State = Literal["ok", "away", "not checked"]
# Without these the chats go on, somehow.
_SPARE = ("redis", "coder")


class Finding(NamedTuple):
    """What came of a look at a server."""

    state: State
    warnings: tuple[str, ...] = ()


_OK = Finding("ok")
_NOT_CHECKED = Finding("not checked")


@require_safe
@never_cache
async def alive(request: HttpRequest) -> JsonResponse:
    """Say that the process serves requests."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
async def ready(request: HttpRequest) -> JsonResponse:
    """Say which servers answer, and which providers' circuits are open; 503 where a server that is needed is away."""
    findings = await asyncio.gather(*map(_find, _CHECKS))
    states = {server: finding.state for server, finding in zip(_CHECKS, findings, strict=True)}
    circuits = await _circuits()
    limited = circuits is None or states["redis"] == "away"
    silent = circuits is not None and all(circuits[name] == "open" for name in settings.LLM_CHAINS["chat"])
    able = all(state != "away" for server, state in states.items() if server not in _SPARE)
    less = limited or silent or "away" in states.values()
    return JsonResponse(
        {
            "status": "not ready" if not able else "degraded" if less else "ready",
            **states,
            "limits": "degraded" if limited else "ok",
            "circuits": circuits or {},
            "warnings": [warning for finding in findings for warning in finding.warnings],
        },
        status=200 if able else 503,
    )


async def _circuits() -> dict[str, breaker.State] | None:
    """Return where each provider stands, None where nobody knows because Redis is away."""
    names = [name for chain in settings.LLM_CHAINS.values() for name in chain]
    try:
        return {name: circuit.state for name, circuit in (await breaker.from_settings().states(names)).items()}
    except Away:
        return None


async def _find(server: str) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            return await _CHECKS[server]()
    except Exception as error:
        # Each client has exceptions of its own, and all mean the same here.
        log.warning("a server does not answer", server=server, error=type(error).__name__)
        return Finding("away")


@database_sync_to_async
def _postgresql() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return _OK


async def _kafka() -> Finding:
    """Look at the broker, and whether fewer workers than configured can share a topic."""
    small = await asyncio.to_thread(topics.with_fewer_partitions, timeout=PATIENCE - 0.5)
    wanted = settings.KAFKA_PARTITIONS
    return Finding(
        "ok",
        tuple(
            f"The topic {name} has fewer partitions ({n}) than KAFKA_PARTITIONS ({wanted})."
            for name, n in small.items()
        ),
    )


async def _redis() -> Finding:
    async with redis.asyncio.from_url(settings.REDIS_URL) as client:
        # Typed as if it could be synchronous, too.
        pong: Any = client.ping()
        await pong
    return _OK


async def _model() -> Finding:
    """Look at the local model where the chat depends on it; paid services are not asked for their health."""
    return await _local("chat", settings.ENVIRONMENT.llm_local_url)


async def _coder() -> Finding:
    """Look at the local model that writes SQL, where that is another one and nobody can replace it."""
    url = settings.ENVIRONMENT.llm_local_sql_url
    return _NOT_CHECKED if url == settings.ENVIRONMENT.llm_local_url else await _local("sql", url)


async def _local(purpose: Purpose, url: str | None) -> Finding:
    if url is None or settings.LLM_CHAINS.get(purpose) != ("local",):
        return _NOT_CHECKED
    await asyncio.to_thread(_fetch, f"{url}/health")
    return _OK


def _fetch(url: str) -> None:
    with urllib.request.urlopen(url, timeout=PATIENCE - 0.5):
        pass


_CHECKS: dict[str, Callable[[], Awaitable[Finding]]] = {
    "postgresql": _postgresql,
    "kafka": _kafka,
    "redis": _redis,
    "model": _model,
    "coder": _coder,
}
