"""Whether this process lives, and whether it can do its work.

`ready` means that it can. `degraded` means that it can do less, and is no reason to send visitors elsewhere: without
Redis limits are small and per process, without the coder (the local model that writes SQL, where it is another one)
nobody proposes SQL, and where every provider of the chat is known to be failing visitors get a sentence, which they
would not get from a proxy that has no process left. `not ready` (503) means that it cannot. `warnings` are sentences
for operators about what is not as configured; they change nothing else.

The status is for everybody, what stands behind it for operators. However many ask, each server is asked once in
`FRESH` seconds, and waited for `PATIENCE` seconds at most.
"""

import asyncio
import urllib.request
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import redis.asyncio
import structlog
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import database, operators, patience
from kafka_chat import topics
from llm import breaker, registry
from llm.shared_state import Away
from llm.types import Purpose

log = structlog.get_logger(__name__)

# Seconds for one server to answer, and for which what was seen is told again.
PATIENCE = 3.0
FRESH = 1.0

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
    """Say whether the process can do its work, with 503 where it cannot; to operators also why.

    That is which servers answer, and which providers' circuits are open.
    """
    found = await _looked()
    told = found.details if await operators.asks(request) else {}
    return JsonResponse({"status": found.status, **told}, status=503 if found.status == "not ready" else 200)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at everything has found, and when, in the event loop's time."""

    status: Literal["ready", "degraded", "not ready"]
    details: dict[str, Any]
    at: float


_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[_Found]] = WeakKeyDictionary()


async def _looked() -> _Found:
    """Return what the look that is under way finds, or the last one where it is fresh; who leaves does not end it."""
    loop = asyncio.get_running_loop()
    look = _looks.get(loop)
    if look is None or (look.done() and (look.cancelled() or loop.time() - look.result().at >= FRESH)):
        # It belongs to no request: not to its thread, and not to its log lines.
        look = _looks[loop] = loop.create_task(_look(), context=Context())
    return await asyncio.shield(look)


async def _look() -> _Found:
    findings = await asyncio.gather(*map(_find, _CHECKS))
    states = {server: finding.state for server, finding in zip(_CHECKS, findings, strict=True)}
    circuits = await _circuits()
    limited = circuits is None or states["redis"] == "away"
    silent = circuits is not None and all(circuits[name] == "open" for name in settings.LLM_CHAINS["chat"])
    able = all(state != "away" for server, state in states.items() if server not in _SPARE)
    less = limited or silent or "away" in states.values()
    return _Found(
        "not ready" if not able else "degraded" if less else "ready",
        {
            **states,
            "limits": "degraded" if limited else "ok",
            "circuits": circuits or {},
            "warnings": [warning for finding in findings for warning in finding.warnings],
        },
        asyncio.get_running_loop().time(),
    )


async def _circuits() -> dict[str, breaker.State] | None:
    """Return where each provider stands, None where nobody knows because Redis is away."""
    try:
        circuits = await breaker.from_settings().states(registry.names())
    except Away:
        return None
    return {name: circuit.state for name, circuit in circuits.items()}


async def _find(server: str) -> Finding:
    try:
        return await patience.within(PATIENCE, _CHECKS[server]())
    except Exception as error:
        # Each client has exceptions of its own, and all mean the same here.
        log.warning("a server does not answer", server=server, error=type(error).__name__)
        return Finding("away")


async def _postgresql() -> Finding:
    await database.rows("SELECT 1", ())
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


_CHECKS: dict[str, Callable[[], Coroutine[Any, Any, Finding]]] = {
    "postgresql": _postgresql,
    "kafka": _kafka,
    "redis": _redis,
    "model": _model,
    "coder": _coder,
}
