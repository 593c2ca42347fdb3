"""Our Daphne, as a process, and bodies that are larger than any that is wanted."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse

import pytest

from tests.config.serving.test_server import port

__all__ = ["port"]

# Importing the module that says so would bring Twisted's reactor.
MAX_BODY = 128 * 1024


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    """A connection to it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def _begin(connection: socket.socket, *headers: str) -> None:
    lines = ("POST / HTTP/1.1", "Host: localhost", *headers, "", "")
    connection.sendall("\r\n".join(lines).encode())


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of the answer."""
    with closing(HTTPResponse(connection)) as response:
        response.begin()
        return response.status, response.read()


def _says_why(answer: tuple[int, bytes]) -> bool:
    status, body = answer
    error = json.loads(body)["error"]
    return (status, error["code"]) == (413, "request_too_large") and "128 kB" in error["message"]


def test_a_body_at_the_limit_reaches_the_application(connection: socket.socket) -> None:
    _begin(connection, f"Content-Length: {MAX_BODY}")
    connection.sendall(bytes(MAX_BODY))
    status, body = _answer(connection)
    assert (status, json.loads(body)["body"]) == (200, MAX_BODY)


def test_a_length_above_it_is_refused_before_anything_is_sent(connection: socket.socket) -> None:
    _begin(connection, f"Content-Length: {MAX_BODY + 1}", "Expect: 100-continue")
    assert _says_why(_answer(connection))
    # Nothing is asked for after that.
    assert connection.recv(1) == b""


def test_who_sends_it_all_the_same_reads_why(connection: socket.socket) -> None:
    size = 20 * 1024 * 1024
    _begin(connection, f"Content-Length: {size}")
    connection.sendall(bytes(size))
    assert _says_why(_answer(connection))


def test_parts_without_an_end_are_refused_at_the_limit(connection: socket.socket) -> None:
    _begin(connection, "Transfer-Encoding: chunked")
    connection.sendall(_chunk(bytes(MAX_BODY)) + _chunk(b"x"))
    assert _says_why(_answer(connection))


def test_parts_that_end_are_no_request_where_they_were_refused(connection: socket.socket) -> None:
    _begin(connection, "Transfer-Encoding: chunked")
    connection.sendall(_chunk(bytes(2 * MAX_BODY)) + _chunk(b"") + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert _says_why(_answer(connection))
    assert connection.recv(1) == b""


def test_parts_within_it_reach_the_application(connection: socket.socket) -> None:
    _begin(connection, "Transfer-Encoding: chunked")
    connection.sendall(_chunk(b"x" * 1000) * 3 + _chunk(b""))
    status, body = _answer(connection)
    assert (status, json.loads(body)["body"]) == (200, 3000)
