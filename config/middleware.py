"""Django's middleware without a thread for each of its steps: the same checks, headers and cookies, in the same order.

Django runs every step of every middleware of an asynchronous server in a thread, because one of another class might
wait for a database: some eighteen changes of thread for each request, which cost more than all that is done in them.
These only compute, so they run where they are called. What may have to wait still goes to the request's thread: to
store a session or messages that were changed, and to show the page for a form that is refused.

https://docs.djangoproject.com/en/5.2/topics/http/middleware/#asynchronous-support
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import structlog
from asgiref.sync import sync_to_async
from csp.constants import HEADER
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from config import languages, views

log = structlog.get_logger(__name__)

GetResponse: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

# The pages copy texts to the clipboard and need nothing else: https://www.w3.org/TR/permissions-policy/
_UNUSED = (
    *("accelerometer", "ambient-light-sensor", "autoplay", "bluetooth", "browsing-topics", "camera"),
    *("clipboard-read", "display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope"),
    *("hid", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment", "picture-in-picture"),
    *("publickey-credentials-get", "screen-wake-lock", "serial", "usb", "web-share", "xr-spatial-tracking"),
)
PERMISSIONS = ", ".join(["clipboard-write=(self)", *(f"{name}=()" for name in _UNUSED)])

# The parts of a policy that no page has changed.
_AS_SET = PolicyParts()


class _InPlace(MiddlewareMixin):
    """Calls the steps of a middleware where it is called itself."""

    sync_capable = False

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(cast(Any, get_response))
        self._next = get_response
        self._before: Callable[[HttpRequest], HttpResponseBase | None]
        self._before = getattr(self, "process_request", lambda request: None)
        self._after: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase]
        self._after = getattr(self, "process_response", lambda request, response: response)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._before(request) or await self._next(request)
        if self._has_to_store(request):
            return await sync_to_async(self._after)(request, response)
        return self._after(request, response)

    def _has_to_store(self, request: HttpRequest) -> bool:
        return False


class Security(_InPlace, SecurityMiddleware):
    """Headers that tell browsers to be careful."""


class Isolation(_InPlace):
    """What browsers keep from our pages, and our answers from other sites; it stands first, for static files too."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say both. (Django finds this method by its name.)"""
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class ContentSecurityPolicy(_InPlace, CSPMiddleware):
    """What a page may load and run: the policy of the settings, composed once, and anew where a page has its own."""

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        policy: dict[str, Any] = settings.CONTENT_SECURITY_POLICY
        is_for_all = not policy.get("EXCLUDE_URL_PREFIXES")
        has_another = hasattr(settings, "CONTENT_SECURITY_POLICY_REPORT_ONLY")
        self._policy = build_policy() if is_for_all and not has_another and not settings.DEBUG else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say the policy. (Django finds this method by its name.)"""
        parts = self.get_policy_parts(request, response)
        if self._policy is None or parts != _AS_SET or getattr(response, "_csp_exempt", False):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, self._policy)
        return response


class Sessions(_InPlace, SessionMiddleware):
    """The session, read where somebody asks for it and stored where it was changed."""

    def _has_to_store(self, request: HttpRequest) -> bool:
        return bool(request.session.modified or settings.SESSION_SAVE_EVERY_REQUEST)


class Languages(_InPlace):
    """The language of the answer, as `config.languages` knows it.

    It stays active after the response is made, for what comes of a stream later. The task ends with the request.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Speak it from now on. (Django finds both methods by their names.)"""
        translation.activate(languages.of_request(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Say so to whoever may keep the answer: polls and streams, which nobody may, are told nothing."""
        kept = response.headers.get("Cache-Control", "")
        if "no-store" not in kept and "immutable" not in kept:
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        return response


class Common(_InPlace, CommonMiddleware):
    """Known hosts only, addresses with a slash at their end, Content-Length."""


class _Refusal:
    """A form was refused, and its page is not made yet."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Csrf(_InPlace, CsrfViewMiddleware):
    """Forms and calls from our own pages only."""

    async def process_view(  # type: ignore[override]
        self, request: HttpRequest, callback: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> HttpResponseBase | None:
        """Return a page where a request is refused. It may say who has signed in, so it is made in a thread."""
        refusal: Any = super().process_view(request, callback, tuple(args), dict(kwargs))
        if not isinstance(refusal, _Refusal):
            return cast(HttpResponse | None, refusal)
        page: HttpResponse = await sync_to_async(cast(Any, super())._reject)(request, refusal.reason)
        return page

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return _Refusal(reason)


class Authentication(_InPlace, AuthenticationMiddleware):
    """Who has signed in, read where somebody asks for it."""


class Messages(_InPlace, MessageMiddleware):
    """Messages for the next page, stored where there are new ones or some were shown."""

    def _has_to_store(self, request: HttpRequest) -> bool:
        messages: Any = getattr(request, "_messages", None)
        return messages is not None and (messages.used or messages.added_new)


class Outages(_InPlace):
    """A sentence and 503 instead of a fault of ours where a view needs PostgreSQL, and that does not answer."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Return the page for that. (Django finds this method by its name.)"""
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        state = getattr(exception.__cause__, "sqlstate", None)
        log.error("PostgreSQL does not answer", error=type(exception).__name__, sqlstate=state)
        return views.database_away(request)


class FrameOptions(_InPlace, XFrameOptionsMiddleware):
    """No page of ours within another."""
