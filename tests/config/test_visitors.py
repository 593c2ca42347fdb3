"""A visitor is known by a signed cookie, the same over HTTP and over WebSockets."""

import time
import uuid
from typing import Any

import pytest
from django.core.signing import TimestampSigner, b62_encode
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import RequestFactory
from pytest_django import Settings

from config import visitors


async def _page(request: HttpRequest) -> HttpResponseBase:
    return HttpResponse(str(visitors.visitor_of(request)))


async def _visit(cookie: str | None = None) -> HttpResponse:
    request = RequestFactory().get("/about/")
    if cookie is not None:
        request.COOKIES[visitors.COOKIE] = cookie
    response = await visitors.visitor_middleware(_page)(request)
    assert isinstance(response, HttpResponse)
    return response


async def test_newcomer_gets_a_cookie_that_makes_them_known() -> None:
    first = await _visit()
    cookie = first.cookies[visitors.COOKIE]
    second = await _visit(cookie.value)
    assert second.content == first.content
    assert visitors.COOKIE not in second.cookies


async def test_two_newcomers_are_two_visitors() -> None:
    assert (await _visit()).content != (await _visit()).content


async def test_cookie_is_out_of_reach_of_scripts_and_foreign_forms(settings: Settings) -> None:
    settings.VISITOR_COOKIE_SECURE = True
    cookie = (await _visit()).cookies[visitors.COOKIE]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"


@pytest.mark.parametrize("forgery", ["", "x", str(uuid.UUID(int=1)), "é", ":::", '"1":1:1'])
async def test_forged_cookie_is_a_newcomers(forgery: str) -> None:
    assert visitors.COOKIE in (await _visit(forgery)).cookies


async def test_cookie_signed_with_another_key_is_a_newcomers(settings: Settings) -> None:
    cookie = visitors.make_cookie(uuid.uuid4())
    settings.SECRET_KEY = "another key, of another installation of this very program"
    assert visitors.COOKIE in (await _visit(cookie)).cookies


def test_cookie_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = uuid.uuid4()
    _sign_in_the_past(monkeypatch, visitors.COOKIE_AGE.total_seconds() - 60)
    assert visitors.read_cookie(visitors.make_cookie(visitor)) == visitor
    _sign_in_the_past(monkeypatch, visitors.COOKIE_AGE.total_seconds() + 60)
    assert visitors.read_cookie(visitors.make_cookie(visitor)) is None


@pytest.mark.parametrize("others", ["", "theme=dark; "])
async def test_socket_knows_the_same_visitor(others: str) -> None:
    visitor = uuid.uuid4()
    header = f"{others}{visitors.COOKIE}={visitors.make_cookie(visitor)}"
    assert await _visitor_of_socket([(b"host", b"site"), (b"cookie", header.encode())]) == visitor


@pytest.mark.parametrize("headers", [[], [(b"cookie", b"visitor=forged")], [(b"cookie", b"\xff\xfe=;;")]])
async def test_socket_without_a_valid_cookie_has_no_visitor(headers: list[tuple[bytes, bytes]]) -> None:
    assert await _visitor_of_socket(headers) is None


async def _visitor_of_socket(headers: list[tuple[bytes, bytes]]) -> uuid.UUID | None:
    seen: dict[str, Any] = {}

    async def application(scope: dict[str, Any], receive: object, send: object) -> None:
        seen.update(scope)

    await visitors.VisitorScope(application)({"type": "websocket", "headers": headers}, None, None)
    visitor: uuid.UUID | None = seen["visitor_id"]
    return visitor


def _sign_in_the_past(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(TimestampSigner, "timestamp", lambda self: b62_encode(int(time.time() - seconds)))
