"""Ids by which the lines of one request, message and trace are found, and the line of each request."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from pytest_django import Settings
from structlog.testing import capture_logs

from config.background import Background
from config.observability import access_log, correlation
from config.observability.logs import texts
from config.serving.handler import Handler


def _scope(*given: str, path: str = "/ws/chat/") -> dict[str, Any]:
    return {"type": "websocket", "path": path, "headers": [(b"x-request-id", each.encode()) for each in given]}


def test_the_id_is_that_of_a_proxy_of_ours(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert correlation.request_id(_scope("b3a2-41.77=")) == "b3a2-41.77="


@pytest.mark.parametrize(
    "given", [(), ("short",), ("x" * 129,), ("with a blank",), ("line\nbreak",), ("one-of-two", "two-of-two")]
)
def test_what_is_no_id_is_replaced(given: tuple[str, ...], settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    assert re.fullmatch("[0-9a-f]{32}", correlation.request_id(_scope(*given)))


def test_without_a_proxy_of_ours_the_header_is_a_client_s_and_means_nothing(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 0
    made = {correlation.request_id(_scope("chosen-by-a-client")) for _ in range(2)}
    assert len(made) == 2
    assert "chosen-by-a-client" not in made


async def test_each_request_has_a_line_and_a_name_that_its_answer_says() -> None:
    transport = httpx.ASGITransport(Handler())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
            answer = await client.get("/nobody%0Ais/here?secret=query")
            await client.get("/healthz")
    assert [(line["log_level"], line["path"], line["status"]) for line in lines if line["event"] == "request"] == [
        ("info", "/nobody%0Ais/here", 404),
        ("debug", "/healthz", 200),
    ]
    assert lines[0]["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in repr(lines)


async def test_lines_of_requests_can_be_switched_off(settings: Settings) -> None:
    settings.LOG_REQUESTS = False
    with capture_logs() as lines, access_log.line(_scope()):
        pass
    assert lines == []


async def test_work_in_the_background_says_no_ids_of_who_started_it() -> None:
    said: list[dict[str, Any]] = []

    async def work() -> None:
        said.append(structlog.contextvars.get_contextvars())

    background = Background("test")
    with correlation.bound(trace_id=uuid4()):
        background.keep_up("work", work)
        task = asyncio.create_task(work())
    await task
    await background.aclose()
    assert sorted(map(len, said)) == [0, 1]


def test_the_trace_that_is_bound_is_known_meanwhile() -> None:
    trace = UUID(int=7)
    with correlation.bound(trace_id=trace):
        assert correlation.trace_id() == trace
    assert correlation.trace_id() is None


def test_what_is_bound_in_a_request_ends_with_it() -> None:
    """Also where the same task, or the thread that called it, serves the next one."""
    with correlation.bound(run_id=uuid4()):
        before = structlog.contextvars.get_contextvars()
        with access_log.line(_scope()):
            correlation.bind(trace_id=uuid4(), run_id=uuid4())
        assert structlog.contextvars.get_contextvars() == before


def test_texts_are_said_only_where_that_is_switched_on(settings: Settings) -> None:
    assert texts(question="why?") == {}
    settings.LOG_MESSAGE_TEXTS = True
    assert texts(question="why?") == {"question": "why?"}
