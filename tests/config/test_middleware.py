"""Our middleware does what Django's does, and enters a thread only where something has to be stored or shown."""

import re
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, override_settings
from django.urls import path
from django.utils.module_loading import import_string

from config.urls import handler403, handler404, handler500
from config.urls import urlpatterns as ours

pytestmark = pytest.mark.django_db(transaction=True)

# Ours, and what each is made of.
_DJANGO_S = {
    "config.middleware.Security": "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentSecurityPolicy": "csp.middleware.CSPMiddleware",
    "config.middleware.Sessions": "django.contrib.sessions.middleware.SessionMiddleware",
    "config.middleware.Common": "django.middleware.common.CommonMiddleware",
    "config.middleware.Csrf": "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.Authentication": "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.middleware.Messages": "django.contrib.messages.middleware.MessageMiddleware",
    "config.middleware.FrameOptions": "django.middleware.clickjacking.XFrameOptionsMiddleware",
}


async def plain(request: HttpRequest) -> HttpResponse:
    """Answer, in the event loop's thread."""
    return HttpResponse(threading.current_thread().name)


async def count(request: HttpRequest) -> JsonResponse:
    """Count visits in the session."""
    visits = await request.session.aget("visits", 0) + 1
    await request.session.aset("visits", visits)
    return JsonResponse({"visits": visits})


async def leave(request: HttpRequest) -> HttpResponse:
    """Forget the session."""
    await request.session.aflush()
    return HttpResponse()


async def note(request: HttpRequest) -> HttpResponse:
    """Leave a message for the next page."""
    await sync_to_async(messages.info)(request, request.GET.get("text", "It is done."))
    return HttpResponse()


async def read(request: HttpRequest) -> JsonResponse:
    """Show the messages."""
    shown = await sync_to_async(lambda: [str(message) for message in get_messages(request)])()
    return JsonResponse({"messages": shown})


async def who(request: HttpRequest) -> HttpResponse:
    """Say who has signed in."""
    return HttpResponse((await request.auser()).get_username())


urlpatterns = [
    path("plain/", plain),
    path("count/", count),
    path("leave/", leave),
    path("note/", note),
    path("read/", read),
    path("who/", who),
    *ours,
]

__all__ = ["handler403", "handler404", "handler500"]


@pytest.fixture(autouse=True)
def pages() -> Iterator[None]:
    """The pages above, beside ours."""
    with override_settings(ROOT_URLCONF=__name__):
        yield


def _with_django_s_own() -> Any:
    own = [_DJANGO_S.get(name, name) for name in settings.MIDDLEWARE]
    return override_settings(MIDDLEWARE=own)


def test_ours_are_django_s_in_the_same_order() -> None:
    assert [name for name in settings.MIDDLEWARE if name in _DJANGO_S] == list(_DJANGO_S)
    for name, own in _DJANGO_S.items():
        assert issubclass(import_string(name), import_string(own))


def test_every_middleware_is_asynchronous_through_and_through() -> None:
    handler = BaseHandler()
    handler.load_middleware(is_async=True)
    assert not [hook for hook in handler._view_middleware if isinstance(hook, SyncToAsync)]


async def test_a_request_that_stores_nothing_enters_no_thread(hops: list[str]) -> None:
    client = AsyncClient()
    await client.get("/about/")
    hops.clear()
    response = await client.get("/plain/")
    assert (response.status_code, response.content.decode()) == (200, threading.current_thread().name)
    # How the test client begins and ends a request; our own handler does not.
    assert hops == ["Signal.asend.<locals>.sync_send", "HttpResponseBase.close"]


@pytest.mark.parametrize("path", ["/plain/", "/count/", "/nothing/", "/plain", "/about/", "/admin/login/"])
@pytest.mark.parametrize("secure", [False, True])
async def test_headers_and_cookies_are_those_of_django_s_own(path: str, secure: bool) -> None:
    async def headers() -> tuple[int, dict[str, str], set[str]]:
        response = await AsyncClient().get(path, secure=secure)
        kept = {name: value for name, value in response.headers.items() if name not in ("Expires", "Last-Modified")}
        cookies = {re.sub(r"=[^;]*|expires=[^;]*", "", str(cookie)) for cookie in response.cookies.values()}
        return response.status_code, kept, cookies

    with override_settings(SECURE_HSTS_SECONDS=60):
        seen = await headers()
        with _with_django_s_own():
            assert await headers() == seen
    if seen[0] != 301:
        assert seen[1]["X-Frame-Options"] == "DENY"
    assert seen[1]["X-Content-Type-Options"] == "nosniff"
    assert seen[1]["Referrer-Policy"] == "same-origin"
    assert seen[1]["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "default-src 'none'" in seen[1]["Content-Security-Policy"]
    assert ("Strict-Transport-Security" in seen[1]) == secure


async def test_a_session_is_stored_where_it_was_changed_and_read_again() -> None:
    client = AsyncClient()
    assert [(await client.get("/count/")).json()["visits"] for _ in range(3)] == [1, 2, 3]
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert "Cookie" in (await client.get("/count/")).headers["Vary"]
    assert settings.SESSION_COOKIE_NAME not in (await client.get("/plain/")).cookies
    await client.get("/leave/")
    assert client.cookies[settings.SESSION_COOKIE_NAME].value == ""
    assert (await client.get("/count/")).json()["visits"] == 1


async def test_a_message_is_shown_once_on_the_next_page() -> None:
    client = AsyncClient()
    await client.get("/note/")
    await client.get("/plain/")
    assert (await client.get("/read/")).json()["messages"] == ["It is done."]
    assert (await client.get("/read/")).json()["messages"] == []


async def test_messages_that_no_cookie_holds_are_stored_in_the_session() -> None:
    client = AsyncClient()
    # Cookies hold some two kilobytes, and compress them.
    text = secrets.token_hex(4000)
    await client.get("/note/", {"text": text})
    assert settings.SESSION_COOKIE_NAME in client.cookies
    assert (await client.get("/read/")).json()["messages"] == [text]


async def test_who_signs_in_is_known_and_who_signs_out_is_not() -> None:
    await User.objects.acreate_user("ada", password="correct horse battery staple", is_staff=True)
    client = AsyncClient(enforce_csrf_checks=True)
    page = (await client.get("/admin/login/")).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    form = {"username": "ada", "password": "correct horse battery staple", "csrfmiddlewaretoken": token[1]}
    assert (await client.post("/admin/login/", form)).status_code == 302
    assert (await client.get("/who/")).content == b"ada"
    page = (await client.get("/about/")).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    assert (await client.post("/sign-out/", {"csrfmiddlewaretoken": token[1]})).status_code == 302
    assert (await client.get("/who/")).content == b""


async def test_a_call_is_refused_as_django_s_own_refuses_it() -> None:
    page = await AsyncClient().get("/about/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert token is not None
    tries: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 403),
        ({"X-CSRFToken": "x" * 64}, 403),
        ({"X-CSRFToken": token[1]}, 202),
        ({"X-CSRFToken": token[1], "Origin": "https://elsewhere.example"}, 403),
        ({"X-CSRFToken": token[1], "Origin": "http://testserver"}, 202),
    )
    for headers, status in tries:
        for settings_used in (override_settings(), _with_django_s_own()):
            with settings_used:
                client = AsyncClient(enforce_csrf_checks=True)
                client.cookies = page.cookies
                body = {"message": "why?"}
                response = await client.post("/api/chat/", body, content_type="application/json", headers=headers)
                assert response.status_code == status, headers
                if status == 403:
                    assert response.json()["error"]["code"] == "csrf"


async def test_the_page_for_a_refused_form_may_read_who_has_signed_in() -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    await client.aforce_login(await User.objects.acreate_user("ada", is_staff=True))
    response = await client.post("/sign-out/")
    assert response.status_code == 403
    assert "Reload the page" in response.content.decode()
    assert (await client.get("/who/")).content == b"ada"
