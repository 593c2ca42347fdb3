"""The Kafka chat's API as the real web server and a real worker, in processes of their own, serve it."""

import asyncio
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import redis.asyncio

from config.embedded.ports import any_free
from tests.collecting import Receiver, receiving, trace_of, tree
from tests.end_to_end.conftest import SCRIPTED
from tests.kafka_chat.events import ServerEvent, read
from tests.servers import Up, up
from tests.ws_chat.web import Page

# Every line that a deployment could have; the key signs the cookies of `Page`.
LOGS = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG", "LOG_REQUESTS": "true", "SECRET_KEY": os.environ["SECRET_KEY"]}


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Receiver, str]]:
    """What gets the spans of the running system, and its address."""
    with receiving() as (receiver, address):
        yield receiver, address


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, static_files: None, collector: tuple[Receiver, str]
) -> Iterator[Up]:
    """The running system, with the scripted provider. (That of the browser tests is not for asynchronous ones.)"""
    folder = tmp_path_factory.mktemp("served")
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector[1]}
    with up(folder / "data", SCRIPTED | LOGS | traces, "--port", str(any_free())) as system:
        system.wait_for_url()
        yield system


@pytest.fixture
async def client(running: Up) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor without a browser."""
    async with httpx.AsyncClient(base_url=running.wait_for_url(), timeout=30) as client:
        await client.get("/about/")
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        yield client


async def _ask(client: httpx.AsyncClient, message: str) -> Any:
    response = await client.post("/api/chat/", json={"message": message})
    assert response.status_code == 202
    return response.json()


async def _status(client: httpx.AsyncClient, asked: Any) -> str:
    return str((await client.get(asked["poll_url"])).json()["status"])


async def _lines(running: Up, **wanted: str) -> list[dict[str, Any]]:
    """Return the lines of the log with these fields, once each process has written one."""
    async with asyncio.timeout(30):
        while True:
            named = [line.split("| ", 1) for line in running.output.splitlines() if "| {" in line]
            lines = [{"process": name.strip(), **json.loads(text)} for name, text in named]
            found = [line for line in lines if wanted.items() <= line.items()]
            if {line["process"] for line in found} == {"web", "worker"}:
                return found
            await asyncio.sleep(0.05)


async def test_a_question_s_lines_say_its_ids_in_every_process_and_nobody_s_words(
    client: httpx.AsyncClient, running: Up
) -> None:
    asked = await client.post("/api/chat/", json={"message": "Do herons wear galoshes?"})
    state = (await client.get(asked.json()["poll_url"] + "&wait=20")).json()
    assert "galoshes" in state["response"]
    lines = await _lines(running, message_id=asked.json()["message_id"])
    told = [line for line in lines if line["process"] == "worker"]
    assert {line["event"] for line in told} >= {"question answered", "answer stored"}
    accepted = [line for line in lines if line.get("request_id") == asked.headers["X-Request-ID"]]
    assert [(line["event"], line["method"], line["path"], line["status"]) for line in accepted] == [
        ("request", "POST", "/api/chat/", 202)
    ]
    assert {line["trace_id"] for line in [*told, *accepted]} == {accepted[0]["trace_id"]}
    assert "galoshes" not in running.output


async def test_the_spans_of_web_and_worker_are_one_trace(
    client: httpx.AsyncClient, collector: tuple[Receiver, str]
) -> None:
    receiver, _ = collector
    asked = await _ask(client, "Do storks wear bonnets?")
    way = {("", "ask"), ("ask", "publish chatbot-questions"), ("publish chatbot-questions", "answer")}
    async with asyncio.timeout(30):
        while not way <= tree([span for span in receiver.spans if str(trace_of(span)) == asked["trace_id"]]):
            await asyncio.sleep(0.05)
    assert receiver.services == {"triptych-web", "triptych-worker"}


async def test_a_socket_s_lines_say_its_ids_too(running: Up) -> None:
    port = int(running.wait_for_url().rpartition(":")[2])
    async with Page(port, uuid.uuid4()) as page:
        await page.ask("Do egrets wear spats?")
        await page.read()
        run = page.run
    assert "spats" in page.text
    async with asyncio.timeout(30):
        while '"socket closed"' not in running.output:
            await asyncio.sleep(0.05)
    lines = [json.loads(line.split("| ", 1)[1]) for line in running.output.splitlines() if "| {" in line]
    (ended,) = [line for line in lines if line["event"] == "run ended"]
    (closed,) = [line for line in lines if line["event"] == "socket closed"]
    assert ended["run"] == run
    assert uuid.UUID(ended["trace_id"])
    assert ended["request_id"] == closed["request_id"]
    assert closed["path"] == "/ws/chat/"
    assert "spats" not in running.output


async def test_events_come_while_the_answer_is_written(client: httpx.AsyncClient) -> None:
    asked = await _ask(client, "scene:slow")
    async with client.stream("GET", asked["events_url"], headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Encoding" not in response.headers
        events = read(response.aiter_raw())
        assert await anext(events) == ServerEvent("delta", {"text": "one ", "restart": False}, "1")
        assert await _status(client, asked) == "generating"
        rest = [event async for event in events]
    assert [event.name for event in rest] == ["delta"] * 9 + ["end"]
    assert rest[-1].data["response"] == "one two three four five six seven eight nine ten"
    assert (rest[-1].number, rest[-1].data["last"]) == ("11", 10)


async def test_a_stop_from_the_web_server_reaches_the_worker(client: httpx.AsyncClient) -> None:
    asked = await _ask(client, "scene:slow")
    async with client.stream("GET", asked["events_url"]) as response:
        events = read(response.aiter_raw())
        await anext(events)
        await anext(events)
        stopped = await client.post(asked["stop_url"], json={"seen": 1})
        assert stopped.status_code == 202
        *_, end = [event async for event in events]
    assert (end.data["status"], end.data["response"], end.data["last"]) == ("stopped", "one ", 1)
    assert end.data | {"last": None} == (await client.get(asked["poll_url"])).json() | {"last": None}


async def test_a_reader_that_goes_away_is_forgotten(client: httpx.AsyncClient, running: Up) -> None:
    settings = running.record["settings"]
    assert isinstance(settings, dict)
    asked = await _ask(client, "scene:slow")
    followers = f"runs:followers:{asked['message_id']}"
    async with redis.asyncio.Redis.from_url(settings["REDIS_URL"]) as store:
        async with client.stream("GET", asked["events_url"]) as response:
            # Held, because a generator that nobody holds is closed, and the connection with it.
            events = read(response.aiter_raw())
            await anext(events)
            async with asyncio.timeout(10):
                while not await store.scard(followers):
                    await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            while await store.scard(followers):
                await asyncio.sleep(0.02)
        assert await _status(client, asked) == "generating"


async def test_a_held_poll_is_answered_by_a_worker_elsewhere(client: httpx.AsyncClient) -> None:
    asked = await _ask(client, "What is an outbox?")
    state = (await client.get(asked["poll_url"] + "&wait=20")).json()
    assert state["status"] == "answered"
    assert re.search("You said: What is an outbox", state["response"])


async def test_many_held_polls_leave_connections_to_others(client: httpx.AsyncClient) -> None:
    asked = await _ask(client, "scene:slow")
    polls = [asyncio.create_task(client.get(asked["poll_url"] + "&wait=20")) for _ in range(80)]
    await asyncio.sleep(0.5)
    assert await _status(client, asked) in {"queued", "generating"}
    states = [(await poll).json()["status"] for poll in polls]
    assert states == ["answered"] * 80
