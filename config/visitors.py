"""Who is asking: a random id in a signed cookie, the same for HTTP and WebSocket.

Chats belong to a visitor, not to an account. The id is kept in a signed cookie of its own, so that knowing the
visitor costs no database read, and so that the id stored beside a message opens no session.
"""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import async_only_middleware

COOKIE = "visitor"
COOKIE_AGE = timedelta(days=30)
_SALT = "config.visitors"


def visitor_of(request: HttpRequest) -> uuid.UUID:
    """Return the visitor's id, which `visitor_middleware` has put on the request."""
    visitor: uuid.UUID = request.visitor_id  # type: ignore[attr-defined]
    return visitor


def read_cookie(value: str | None) -> uuid.UUID | None:
    """Return the id in a cookie's value, or None where it is missing, forged or older than `COOKIE_AGE`."""
    try:
        return uuid.UUID(signing.loads(value or "", salt=_SALT, max_age=COOKIE_AGE))
    except (signing.BadSignature, ValueError, TypeError, AttributeError):
        return None


def make_cookie(visitor_id: uuid.UUID) -> str:
    """Return the cookie's value for a visitor."""
    return signing.dumps(str(visitor_id), salt=_SALT)


@async_only_middleware
def visitor_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """Put `visitor_id` on each request, and hand a newcomer the cookie."""
    assert iscoroutinefunction(get_response)

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        known = read_cookie(request.COOKIES.get(COOKIE))
        visitor_id = known or uuid.uuid4()
        request.visitor_id = visitor_id  # type: ignore[attr-defined]
        response = await get_response(request)
        if known is None:
            response.set_cookie(
                COOKIE,
                make_cookie(visitor_id),
                max_age=COOKIE_AGE,
                httponly=True,
                samesite="Lax",
                secure=settings.VISITOR_COOKIE_SECURE,
            )
        return response

    return middleware


class VisitorScope:
    """ASGI middleware for WebSockets: puts `visitor_id` into the scope, None for who has no cookie."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the connection on, with the visitor's id in its scope."""
        cookies: SimpleCookie = SimpleCookie()
        for name, value in scope["headers"]:
            if name == b"cookie":
                cookies.load(value.decode("latin-1"))
        morsel = cookies.get(COOKIE)
        visitor_id = read_cookie(morsel.value if morsel else None)
        await self.app({**scope, "visitor_id": visitor_id}, receive, send)
