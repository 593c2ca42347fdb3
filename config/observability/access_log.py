"""A line for each request and each WebSocket, when it is over: what was asked for, what came of it, how long it took.

Neither queries nor bodies, cookies or addresses are in it.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import structlog
from django.conf import settings
from django.http.response import HttpResponseBase

from config.observability import correlation

log = structlog.get_logger(__name__)

# Asked for every few seconds by who watches over us.
_PROBES = frozenset(("/healthz", "/readyz", "/metrics"))
_LONGEST_PATH = 200
_LONGEST_METHOD = 16


class Line:
    """What is known of a request until now."""

    def __init__(self, scope: Any, request_id: str) -> None:
        self._scope = scope
        self._request_id = request_id
        self._status: int | None = None
        self._began = time.perf_counter()

    def answered(self, response: HttpResponseBase) -> None:
        """Note what is answered, and tell the client by which id to ask about it."""
        self._status = response.status_code
        response.headers[correlation.HEADER] = self._request_id

    def write(self, event: str) -> None:
        """Write the line. It has no status where the client left before it was answered."""
        if not settings.LOG_REQUESTS:
            return
        path = self._scope["path"]
        write = log.debug if path in _PROBES else log.info
        facts: dict[str, Any] = {"ms": round((time.perf_counter() - self._began) * 1000, 1)}
        if self._scope["type"] == "http":
            facts |= {"method": quote(self._scope["method"][:_LONGEST_METHOD]), "status": self._status}
        # Anybody may put anything into it, also the end of a line.
        write(event, path=quote(path[:_LONGEST_PATH]), **facts)


@contextmanager
def line(scope: Any, event: str = "request") -> Iterator[Line]:
    """Bind the id of a connection meanwhile, and write its line at the end."""
    request_id = correlation.request_id(scope)
    with correlation.bound(request_id=request_id):
        known = Line(scope, request_id)
        try:
            yield known
        finally:
            known.write(event)


def with_lines(application: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return an ASGI application whose WebSockets have such a line each."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        with line(scope, "socket closed"):
            await application(scope, receive, send)

    return serve
