"""What a process measures about itself, for Prometheus. Each app has a `metrics.py` of its own for what is its own.

Every process has its own registry, and is a target of its own to Prometheus, which adds them up. The library's
multi-process mode would spare that where processes share one port; ours do not, and it costs a file for each of them.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

# Seconds: from what a person does not notice to what nobody waits for.
FIRST = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30)
WHOLE = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
# Anybody may make up more of them, and each would be a series of its own.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_REQUESTS = Counter(
    "triptych_http_requests",
    "HTTP requests answered; the route is a pattern, or none.",
    ["method", "route", "status"],
)
_SECONDS = Histogram(
    "triptych_http_request_seconds", "From a request to the beginning of its response.", ["route"], buckets=FIRST
)
_SOCKETS = Gauge("triptych_open_sockets", "WebSockets that are open now.", ["path"])
_POOL_SIZE = Gauge("triptych_database_pool_connections", "Connections of the ORM's pool, in use or not.")
_POOL_FREE = Gauge("triptych_database_pool_free", "Connections of the ORM's pool that are free.")
_POOL_WAITING = Gauge("triptych_database_pool_waiting", "Requests that wait for a connection of the pool.")


def note_request(request: HttpRequest | None, response: HttpResponseBase, began: float) -> None:
    """Count a request that began at this `time.perf_counter()`; None is one that could not be read."""
    match = request and request.resolver_match
    route = f"/{match.route}" if match else "none"
    method = request.method if request and request.method in _METHODS else "other"
    _REQUESTS.labels(method, route, response.status_code).inc()
    _SECONDS.labels(route).observe(time.perf_counter() - began)


def counted(application: Callable[..., Awaitable[Any]], path: str) -> Callable[..., Awaitable[Any]]:
    """Return an ASGI application whose connections count as open sockets of a path."""
    sockets = _SOCKETS.labels(path)

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        with sockets.track_inprogress():
            await application(scope, receive, send)

    return serve


def _pool(name: str) -> Callable[[], float]:
    def read() -> float:
        # Of the process, whichever thread asks.
        pool: Any = connections["default"].pool  # type: ignore[attr-defined]
        return float(pool.get_stats().get(name, 0))

    return read


_POOL_SIZE.set_function(_pool("pool_size"))
_POOL_FREE.set_function(_pool("pool_available"))
_POOL_WAITING.set_function(_pool("requests_waiting"))

__all__ = ["FIRST", "REGISTRY", "WHOLE", "counted", "note_request"]
