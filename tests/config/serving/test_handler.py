"""Requests as the web server hands them over: they end with their client, and leave nothing behind in their thread."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.signals import request_finished
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from config.serving.handler import Handler
from config.urls import handler403, handler404, handler500
from config.urls import urlpatterns as ours
from kafka_chat.models import ChatMessage

pytestmark = pytest.mark.django_db(transaction=True)

# What happened in the views.
seen: list[str] = []


def orm(request: HttpRequest) -> HttpResponse:
    """Use the ORM, in the request's thread."""
    return HttpResponse(f"{ChatMessage.objects.count()} {request.body.decode()}")


async def orm_elsewhere(request: HttpRequest) -> HttpResponse:
    """Use the ORM from the event loop."""
    return HttpResponse(str(await ChatMessage.objects.acount()))


async def patient(request: HttpRequest) -> HttpResponse:
    """Wait for what never comes, with a connection in hand."""
    await ChatMessage.objects.acount()
    seen.append("waits")
    try:
        await asyncio.sleep(60)
    finally:
        seen.append("left")
    return HttpResponse()


async def drip(request: HttpRequest) -> StreamingHttpResponse:
    """Stream without an end."""

    async def parts() -> AsyncIterator[str]:
        try:
            while True:
                yield "drop"
                await asyncio.sleep(0.01)
        finally:
            seen.append("left")

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("orm/", orm),
    path("orm-elsewhere/", orm_elsewhere),
    path("patient/", patient),
    path("drip/", drip),
    *ours,
]

__all__ = ["handler403", "handler404", "handler500"]


@pytest.fixture(autouse=True)
def pages() -> Iterator[None]:
    """The pages above, beside ours."""
    seen.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def finished() -> Iterator[list[object]]:
    """Who said that a request is finished."""
    senders: list[object] = []

    def note(sender: object, **_: object) -> None:
        senders.append(sender)

    request_finished.connect(note)
    yield senders
    request_finished.disconnect(note)


def _browser(path: str, method: str = "GET", host: bytes = b"testserver") -> ApplicationCommunicator:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", host)],
    }
    return ApplicationCommunicator(Handler(), scope)


async def _get(path: str) -> tuple[int, bytes]:
    browser = _browser(path)
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await browser.receive_output(5)
    body = await browser.receive_output(5)
    await browser.wait(5)
    return start["status"], body["body"]


@sync_to_async
def _in_use() -> int:
    """The connections of the ORM's pool that somebody has in hand, but for the one that counts them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    pool = connections["default"].pool
    return int(pool.get_stats()["pool_size"] - pool.get_stats()["pool_available"]) - 1


@pytest.mark.parametrize("path", ["/orm/", "/orm-elsewhere/"])
async def test_a_request_gives_its_connection_back(path: str, finished: list[object]) -> None:
    before = await _in_use()
    for _ in range(3):
        assert (await _get(path))[0] == 200
    assert await _in_use() == before
    assert finished == [Handler] * 3


async def test_a_request_is_finished_also_without_a_thread(finished: list[object]) -> None:
    assert (await _get("/healthz"))[0] == 200
    assert finished == [Handler]


async def test_a_body_that_comes_in_pieces_is_one() -> None:
    with override_settings(MIDDLEWARE=[]):
        browser = _browser("/orm/", "POST")
        await browser.send_input({"type": "http.request", "body": b"one ", "more_body": True})
        await browser.send_input({"type": "http.request", "body": b"two", "more_body": False})
        assert (await browser.receive_output(5))["status"] == 200
        assert (await browser.receive_output(5))["body"] == b"0 one two"
        await browser.wait(5)


async def test_a_view_ends_when_its_client_leaves_and_gives_its_connection_back(finished: list[object]) -> None:
    before = await _in_use()
    browser = _browser("/patient/")
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    async with asyncio.timeout(5):
        while "waits" not in seen:
            await asyncio.sleep(0.01)
    await browser.send_input({"type": "http.disconnect"})
    await browser.wait(5)
    assert seen == ["waits", "left"]
    assert await _in_use() == before
    assert finished == [Handler]


async def test_a_stream_ends_when_its_client_leaves() -> None:
    browser = _browser("/drip/")
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await browser.receive_output(5))["status"] == 200
    assert (await browser.receive_output(5))["body"] == b"drop"
    await browser.send_input({"type": "http.disconnect"})
    await browser.wait(5)
    assert seen == ["left"]


async def test_who_leaves_before_the_request_is_complete_is_served_nothing() -> None:
    browser = _browser("/orm/", "POST")
    await browser.send_input({"type": "http.request", "body": b"one", "more_body": True})
    await browser.send_input({"type": "http.disconnect"})
    await browser.wait(5)
    assert await browser.receive_nothing()


async def test_a_server_that_stops_cancels_what_is_being_served() -> None:
    browser = _browser("/patient/")
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    async with asyncio.timeout(5):
        while "waits" not in seen:
            await asyncio.sleep(0.01)
    assert browser.future is not None
    browser.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await browser.future
    assert seen == ["waits", "left"]


async def test_an_address_that_is_no_text_is_a_bad_request() -> None:
    browser = _browser("/orm/")
    browser.scope["query_string"] = b"\xff"
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await browser.receive_output(5))["status"] == 400


async def test_another_host_is_refused() -> None:
    browser = _browser("/orm/", host=b"elsewhere.example")
    await browser.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await browser.receive_output(5))["status"] == 400
