"""The way of a question through the web server: from the request to its answer it stays in the event loop."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from config.serving.handler import Handler
from config.visitors import COOKIE, make_cookie
from tests.kafka_chat.asking import begin, store

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]

_TOKEN = b"a" * 32


class _Browser:
    """A visitor, whose requests are handed over as the web server does it."""

    def __init__(self) -> None:
        self._handler = Handler()
        self._cookies = f"{COOKIE}={make_cookie(uuid.uuid4())}; csrftoken={_TOKEN.decode()}".encode()

    async def send(self, method: str, target: str, body: bytes = b"") -> Any:
        path, _, query = target.partition("?")
        headers = [(b"host", b"testserver"), (b"cookie", self._cookies), (b"x-csrftoken", _TOKEN)]
        scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method}
        scope |= {"path": path, "query_string": query.encode(), "headers": headers}
        talk = ApplicationCommunicator(self._handler, scope)
        await talk.send_input({"type": "http.request", "body": body, "more_body": False})
        start, rest = await talk.receive_output(20), await talk.receive_output(20)
        await talk.wait(5)
        assert start["status"] in (200, 202), rest["body"]
        return json.loads(rest["body"])


async def test_a_question_and_its_polls_enter_no_thread(hops: list[str]) -> None:
    browser = _Browser()
    hops.clear()
    asked = await browser.send("POST", "/api/chat/", b'{"message": "why?"}')
    polling = asyncio.create_task(browser.send("GET", asked["poll_url"] + "&wait=20"))
    state = await browser.send("GET", asked["poll_url"])
    assert hops == []
    assert state["status"] == "queued"
    await begin(asked)
    await store(asked)
    hops.clear()
    assert (await polling)["status"] == "answered"
    assert hops == []
