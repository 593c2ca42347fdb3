"""Server-sent events, on a real database and a real run log."""

import asyncio
import gc
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.test import AsyncClient

from config.serving.handler import Handler
from kafka_chat import asking, streaming, waiting
from kafka_chat.models import ChatMessage
from llm import runs
from llm.runs import RunLog
from tests.kafka_chat.asking import ask, begin, newcomer, store
from tests.kafka_chat.events import ServerEvent, read, text_and_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("run_log")]


async def _stream(client: AsyncClient, url: str, **headers: str) -> Any:
    response = await client.get(url, headers=headers)
    assert response.status_code == 200
    return read(response.streaming_content)


async def test_an_answer_is_read_while_it_is_written_and_ends_with_all_of_it() -> None:
    client = await newcomer()
    asked = await ask(client)
    events = await _stream(client, asked["events_url"])
    writer = await begin(asked)
    for number, text in enumerate(("one ", "two ", "three"), start=1):
        writer.write(text)
        assert await anext(events) == ServerEvent("delta", {"text": text, "restart": False}, str(number))
    await runs.log().close(writer)
    await store(asked, response="one two three", provider="scripted")
    end = await anext(events)
    assert (end.name, end.number, end.data.pop("last")) == ("end", "4", 3)
    assert end.data == (await client.get(asked["poll_url"])).json()
    assert end.data["html"] == "<p>one two three</p>\n"
    assert [event async for event in events] == []


async def test_the_stream_is_for_nobody_to_keep_to_join_or_to_compress() -> None:
    client = await newcomer()
    asked = await ask(client)
    await store(asked)
    response = await client.get(asked["events_url"], headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert {"no-store", "no-transform"} <= set(response.headers["Cache-Control"].split(", "))
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "Content-Encoding" not in response.headers and "Content-Length" not in response.headers


@pytest.mark.parametrize("how", ["header", "parameter", "both"])
async def test_a_reader_that_comes_back_loses_and_repeats_nothing(how: str) -> None:
    client = await newcomer()
    asked = await ask(client)
    writer = await begin(asked)
    for text in ("one ", "two ", "three ", "four"):
        writer.write(text)
    await runs.log().close(writer)
    url = asked["events_url"] + {"header": "", "parameter": "?after=2", "both": "?after=1"}[how]
    events = await _stream(client, url, **({} if how == "parameter" else {"Last-Event-ID": "2"}))
    assert await anext(events) == ServerEvent("delta", {"text": "three four", "restart": False}, "4")
    await store(asked)
    assert (await anext(events)).name == "end"


async def test_a_second_attempt_replaces_what_the_first_one_wrote() -> None:
    client = await newcomer()
    asked = await ask(client)
    (await begin(asked)).write("half an ans")
    events = await _stream(client, asked["events_url"])
    assert (await anext(events)).data["text"] == "half an ans"
    writer = await runs.log().take_over(uuid.UUID(asked["message_id"]), owner="")
    writer.write("A whole answer.")
    again = await anext(events)
    assert again.data == {"text": "A whole answer.", "restart": True}
    await runs.log().close(writer)
    await store(asked, response="A whole answer.")
    end = await anext(events)
    assert int(end.number) > int(again.number) == end.data["last"]


async def test_of_a_question_that_was_finished_before_there_is_one_end(run_log: RunLog) -> None:
    client = await newcomer()
    asked = await ask(client)
    await store(asked, announced=False, error="No model can answer.")
    events = [event async for event in await _stream(client, asked["events_url"])]
    assert [(event.name, event.number, event.data["status"]) for event in events] == [("end", "", "failed")]
    assert not run_log._mirrors


async def test_silence_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TICK", 0.05)
    monkeypatch.setattr(streaming, "TICK", 0.05)
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.1)
    client = await newcomer()
    asked = await ask(client)
    events = await _stream(client, asked["events_url"])
    for _ in range(3):
        assert await anext(events) == ServerEvent("heartbeat", {})
    # Nobody was told of this end.
    await store(asked, announced=False)
    _, end = await text_and_end(events)
    assert end.data["response"] == "because"


async def test_a_stream_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch, run_log: RunLog) -> None:
    monkeypatch.setattr(streaming, "LONGEST", 0.2)
    client = await newcomer()
    asked = await ask(client)
    async with asyncio.timeout(5):
        assert [event async for event in await _stream(client, asked["events_url"])] == []
    assert not run_log._mirrors


@pytest.mark.parametrize("path", ["{other}/events/", "not-an-id/events/", "{unknown}/events/"])
async def test_what_is_not_one_s_own_is_not_found(path: str) -> None:
    client = await newcomer()
    other = await ask(await newcomer())
    path = path.format(other=other["message_id"], unknown=uuid.uuid4())
    response = await client.get(f"/api/chat/{path}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_message"
    unknown = await client.get(f"/api/check-answer/?message_id={uuid.uuid4()}")
    assert response.json() == unknown.json()


@pytest.mark.parametrize("after", ["-1", "one", "1.5", str(2**53 + 1)])
async def test_a_cursor_must_be_a_number(after: str) -> None:
    client = await newcomer()
    asked = await ask(client)
    for response in (
        await client.get(asked["events_url"], {"after": after}),
        await client.get(asked["events_url"], headers={"Last-Event-ID": after}),
    ):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "invalid_event_id"


# Django does not close the body of a request whose client is gone; it is empty here.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_reader_that_goes_away_leaves_nothing_behind(run_log: RunLog) -> None:
    client = await newcomer()
    asked = await ask(client)
    cookie = f"visitor={client.cookies['visitor'].value}".encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": asked["events_url"],
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"cookie", cookie)],
    }
    browser = ApplicationCommunicator(Handler(), scope)
    await browser.send_input({"type": "http.request", "body": b""})
    assert (await browser.receive_output(5))["status"] == 200
    assert (await browser.receive_output(5))["body"] == b"retry: 1000\n\n"
    async with asyncio.timeout(5):
        while not run_log._mirrors:
            await asyncio.sleep(0.01)
        await browser.send_input({"type": "http.disconnect"})
        await browser.wait(5)
        while "runs: follow" in {task.get_name() for task in asyncio.all_tasks()}:
            await asyncio.sleep(0.01)
    assert not run_log._mirrors
    # What is left belongs to this test and to the run log.
    assert [task for task in asyncio.all_tasks() if not task.get_name().startswith("runs: ")] == [
        asyncio.current_task()
    ]
    del browser
    gc.collect()


async def test_a_row_is_looked_at_once_for_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[uuid.UUID] = []
    find = asking.find

    async def noting(session_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
        looked.append(message_id)
        return await find(session_id, message_id)

    monkeypatch.setattr(asking, "find", noting)
    client = await newcomer()
    asked = await ask(client)
    events = await _stream(client, asked["events_url"])
    writer = await begin(asked)
    writer.write("because")
    await runs.log().close(writer)
    await store(asked)
    assert (await text_and_end(events))[0] == "because"
    assert len(looked) == 1


async def test_characters_of_any_script_and_lines_arrive_as_they_were() -> None:
    client = await newcomer()
    asked = await ask(client)
    text = "a\r\nb\n\nc: d\u2028\u00e9 中 🎉 data: x"
    events = await _stream(client, asked["events_url"])
    writer = await begin(asked)
    writer.write(text)
    await runs.log().close(writer)
    await store(asked, response=text)
    seen, end = await text_and_end(events)
    assert (seen, end.data["response"]) == (text, text)


async def test_another_method_is_refused() -> None:
    client = await newcomer()
    asked = await ask(client)
    assert (await client.post(asked["events_url"])).status_code == 405
    assert (await sync_to_async(ChatMessage.objects.get)(pk=asked["message_id"])).status == "queued"
