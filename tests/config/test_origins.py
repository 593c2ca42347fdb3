"""A page may open a WebSocket to its own origin, and to no other."""

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from config.origins import SameOrigin, is_allowed


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8000", "https://127.0.0.1:8000", "http://LOCALHOST:8000"], ids=["same", "tls", "case"]
)
def test_own_page_is_allowed(origin: str) -> None:
    assert is_allowed(origin, origin.partition("://")[2].lower())


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://evil.example.org",
        # Another port is another program, which may be a foreign one, and gets our cookies all the same.
        "http://127.0.0.1:9000",
        "http://127.0.0.1",
        "http://127.0.0.1:8000.evil.example.org",
        "http://evil.example.org/?http://127.0.0.1:8000",
        "http://127.0.0.1:8000@evil.example.org",
        "file://127.0.0.1:8000",
        "chrome-extension://127.0.0.1:8000",
    ],
)
def test_foreign_page_is_refused(origin: str) -> None:
    assert not is_allowed(origin, "127.0.0.1:8000")


def test_trusted_origin_is_allowed(settings: Settings) -> None:
    settings.TRUSTED_ORIGINS = ["https://chat.example.org"]
    assert is_allowed("https://chat.example.org", "127.0.0.1:8000")
    assert not is_allowed("http://chat.example.org", "127.0.0.1:8000")


async def _accept(scope: object, receive: object, send: object) -> None:
    await send({"type": "websocket.accept"})  # type: ignore[operator]


@pytest.mark.parametrize(("origin", "accepted"), [(b"http://site:8000", True), (b"http://other:8000", False)])
async def test_refused_socket_never_reaches_the_application(origin: bytes, accepted: bool) -> None:
    socket = WebsocketCommunicator(
        SameOrigin(_accept), "/ws/chat/", headers=[(b"origin", origin), (b"host", b"site:8000")]
    )
    connected, _ = await socket.connect()
    assert connected is accepted
    await socket.wait()


async def test_socket_without_origin_is_refused() -> None:
    socket = WebsocketCommunicator(SameOrigin(_accept), "/ws/chat/", headers=[(b"host", b"site:8000")])
    connected, _ = await socket.connect()
    assert not connected
    await socket.wait()
