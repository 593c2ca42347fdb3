"""What the real server refuses, spoken to without a browser."""

import json
import urllib.error
import urllib.request
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.servers import Up

# No browser leaves it out.
NO_ORIGIN = "-"


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response


def _socket(site: str, path: str = "/ws/chat/", *, origin: str | None = None, cookie: str = "") -> ClientConnection:
    address = "ws" + site.removeprefix("http") + path
    headers = {"Cookie": cookie} | ({"Origin": site if origin is None else origin} if origin != NO_ORIGIN else {})
    return connect(address, additional_headers=headers)


@pytest.fixture(scope="module")
def cookie(triptych: str) -> str:
    """The cookie of a visitor."""
    header = next(value for value in _get(f"{triptych}/about/").headers.get_all("Set-Cookie") if "visitor=" in value)
    return str(header.partition(";")[0])


def test_a_page_of_this_site_may_open_a_socket(triptych: str, cookie: str) -> None:
    with _socket(triptych, cookie=cookie) as socket:
        assert json.loads(socket.recv(timeout=5)) == {"type": "ready", "run": None, "after": None}


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:1", "null", NO_ORIGIN])
@pytest.mark.parametrize("path", ["/ws/chat/", "/ws/data-agent/"])
def test_whatever_else_may_not(triptych: str, cookie: str, path: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        _socket(triptych, path, origin=origin, cookie=cookie)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/ws/", "/ws/chat", "/ws/nothing/", "/"])
def test_a_socket_to_an_unknown_address_is_refused(triptych: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        _socket(triptych, path)
    assert refused.value.response.status_code == 403


def test_a_socket_without_a_cookie_is_closed_with_a_reason(triptych: str) -> None:
    with _socket(triptych) as socket:
        assert json.loads(socket.recv(timeout=5))["code"] == "no_visitor"
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_a_frame_that_is_not_utf8_ends_the_connection_and_no_more(triptych: str, running: Up, cookie: str) -> None:
    before = len(running.output)
    with _socket(triptych, cookie=cookie) as socket:
        socket.recv(timeout=5)
        # RFC 6455, section 8.1, wants the connection to fail; Daphne never shows us such a frame.
        socket.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
    assert _get(f"{triptych}/healthz").status == 200
    assert "Traceback" not in running.output[before:]


def test_a_question_without_a_csrf_token_is_refused(triptych: str, cookie: str) -> None:
    request = urllib.request.Request(
        f"{triptych}/api/chat/", b'{"message": "Hello"}', {"Content-Type": "application/json", "Cookie": cookie}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as response:
        assert response.code == 403
        assert json.load(response)["error"]["code"] == "csrf"
    with urllib.request.urlopen(
        urllib.request.Request(f"{triptych}/api/chat/history/", headers={"Cookie": cookie}), timeout=10
    ) as history:
        assert json.load(history)["messages"] == []


def test_a_host_that_is_not_ours_is_refused(triptych: str) -> None:
    connection = HTTPConnection(urlsplit(triptych).netloc, timeout=10)
    connection.request("GET", "/about/", headers={"Host": "example.org"})
    assert connection.getresponse().status == 400
    connection.close()


def test_all_servers_answer(triptych: str) -> None:
    with urllib.request.urlopen(f"{triptych}/readyz", timeout=10) as response:
        assert json.load(response) == {
            "status": "ready",
            "postgresql": "ok",
            "kafka": "ok",
            "redis": "ok",
            "model": "not checked",
            "coder": "not checked",
            "limits": "ok",
            "circuits": {"scripted": "closed"},
            "warnings": [],
        }
