"""Which pages may open a WebSocket here: those of this very origin, and those that the settings trust.

Browsers send cookies with a WebSocket from any page, so the origin is the only thing that tells a foreign page
from ours. Comparing hosts is not enough: cookies are shared by all ports of a host (RFC 6265, section 8.5).
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings


class SameOrigin:
    """ASGI middleware: refuses a WebSocket (HTTP 403) whose Origin is neither this site nor a trusted one."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the connection on, or refuse it."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        chosen: Callable[..., Awaitable[None]] = self.app if is_allowed(origin, host) else WebsocketDenier()
        await chosen(scope, receive, send)


def is_allowed(origin: str, host: str) -> bool:
    """Whether a page of `origin` ("https://host:port") may open a socket to `host` ("host:port")."""
    if origin in settings.TRUSTED_ORIGINS:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc != "" and parts.netloc.lower() == host.lower()
