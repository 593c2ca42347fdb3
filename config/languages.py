"""In which language somebody is spoken to: the one they chose, or else the first one of their browser's that is here.

The choice is Django's cookie, which its own view sets; what browsers say of languages is `Accept-Language`. Both are
known before a request is looked at and before a socket opens, and neither costs a look into the database.

A request and a socket each have a task of their own, and a task its own context (`contextvars`): what is active in one
is not in another. Work that outlives them, or speaks to more than one, must not translate.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.utils import translation

# Characters that are looked at, far more than a browser sends; what is longer is remembered by its beginning.
_LONGEST_CHOICE = 20
_LONGEST_WISHES = 400


def of_request(request: HttpRequest) -> str:
    """Return the code of a request's language."""
    choice = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
    return _decide(choice[:_LONGEST_CHOICE], request.META.get("HTTP_ACCEPT_LANGUAGE", "")[:_LONGEST_WISHES])


def of_scope(scope: Any) -> str:
    """Return the code of a socket's language, from its handshake."""
    cookies, wishes = [], ""
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies.append(value.decode("latin-1"))
        elif name == b"accept-language":
            wishes = value.decode("latin-1")
    choice = parse_cookie(";".join(cookies)).get(settings.LANGUAGE_COOKIE_NAME, "")
    return _decide(choice[:_LONGEST_CHOICE], wishes[:_LONGEST_WISHES])


class SocketLanguage:
    """ASGI middleware for WebSockets: what is done for a connection is done in its language."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the connection on."""
        with translation.override(of_scope(scope)):
            await self.app(scope, receive, send)


# Every poll asks, and most browsers say the same.
@lru_cache(maxsize=500)
def _decide(choice: str, wishes: str) -> str:
    request = HttpRequest()
    request.COOKIES = {settings.LANGUAGE_COOKIE_NAME: choice}
    request.META = {"HTTP_ACCEPT_LANGUAGE": wishes}
    return translation.get_language_from_request(request)
