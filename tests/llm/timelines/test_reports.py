"""What a browser says it has seen becomes a timeline, once, of its visitor's own question, within bounds."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from pytest_django import Settings
from redis.exceptions import RedisError

from config import redis
from config.embedded.ports import any_free
from llm.ledger.calls import Ledger
from llm.models import Price
from llm.timelines import marks
from llm.timelines.models import Timeline
from tests.llm.ledger.rows import NOON, call

pytestmark = pytest.mark.django_db(transaction=True)

Asked = Callable[..., uuid.UUID]


def _report(trace: uuid.UUID, **fields: Any) -> dict[str, Any]:
    times = {"accepted": 15, "first": 930.5, "end": 931}
    return {"trace": str(trace), "transport": "held", **times, "reconnects": 0} | fields


async def _send(client: AsyncClient, report: object) -> Any:
    return await client.post("/api/timelines/", report, content_type="application/json")


async def test_what_was_seen_and_what_the_servers_told_become_one_timeline(client: AsyncClient, asked: Asked) -> None:
    trace = asked(prompt_tokens=12, completion_tokens=None, fallback=True)
    response = await _send(client, _report(trace, reconnects=2))
    assert response.json() == {
        "trace": str(trace),
        "summary": "first word 930 ms · done 931 ms · 1 read, 1.5 writes · 2 reconnects · scripted · fallback",
    }
    made = await Timeline.objects.aget(pk=trace)
    # 15 ms there and back, of which the server had 5.
    assert made.marks == {
        "accepted": 5,
        "written": 10,
        "published": 13,
        "picked_up": 17,
        "first_token": 117,
        "last_token": 905,
        "stored": 915,
    }
    assert (made.prompt_tokens, made.completion_tokens, made.cost) == (12, None, None)
    assert (made.outcome, made.transport, made.beside_writes) == ("answered", "held", 0.5)


async def test_what_is_stored_after_the_end_was_seen_is_waited_for(
    client: AsyncClient, asked: Asked, collector: marks.Collector
) -> None:
    trace = asked(chat="websocket", stored=None)
    reporting = asyncio.create_task(_send(client, _report(trace, transport="websocket")))
    done, _ = await asyncio.wait([reporting], timeout=1)
    assert not done
    marks.note(trace, "stored")
    await sync_to_async(collector.flush)()
    assert (await reporting).status_code == 200
    assert "stored" in (await Timeline.objects.aget(pk=trace)).marks


async def test_the_cost_is_that_of_the_calls_in_the_ledger(client: AsyncClient, asked: Asked) -> None:
    trace = asked()
    await Price.objects.acreate(provider="openai", valid_from=NOON - timedelta(days=1), prompt_usd=1, completion_usd=0)
    ledger = Ledger(in_background=False)
    for _ in range(2):
        ledger.record(call(trace_id=trace))
    await sync_to_async(ledger.flush)()
    await _send(client, _report(trace))
    assert (await Timeline.objects.aget(pk=trace)).cost == Decimal("0.002")


async def test_the_first_report_counts(client: AsyncClient, asked: Asked) -> None:
    trace = asked()
    for end in (1000, 2000):
        assert "done 1.00 s" in (await _send(client, _report(trace, end=end))).json()["summary"]
    assert await Timeline.objects.acount() == 1


async def test_nobody_reports_or_sees_what_is_not_theirs(client: AsyncClient, asked: Asked) -> None:
    trace, other = asked(), AsyncClient()
    for stranger, named in ((other, trace), (client, uuid.uuid4())):
        assert (await _send(stranger, _report(named))).status_code == 404
    assert (await _send(client, _report(trace))).status_code == 200
    query = {"trace": str(trace)}
    assert [each["trace"] for each in (await client.get("/api/timelines/", query)).json()["timelines"]] == [str(trace)]
    assert (await other.get("/api/timelines/", query)).json() == {"timelines": []}
    assert (await other.get("/api/timelines/drawing/", query)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"accepted": -1},
        {"first": 10},
        {"end": 900},
        {"end": 3_600_001},
        {"accepted": "soon"},
        {"reconnects": 1001},
        {"reconnects": 0.5},
        {"transport": "pigeon"},
        # A question of the Kafka chat does not come that way.
        {"transport": "websocket"},
        {"reads": 0},
    ],
)
async def test_what_cannot_have_been_seen_is_refused(client: AsyncClient, asked: Asked, wrong: dict[str, Any]) -> None:
    response = await _send(client, _report(asked()) | wrong)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unacceptable")
    assert await Timeline.objects.acount() == 0


@pytest.mark.parametrize("query", ["", "?trace=x", "?" + "&".join(f"trace={uuid.uuid4()}" for _ in range(101))])
async def test_a_query_names_some_questions(client: AsyncClient, query: str) -> None:
    for address in ("/api/timelines/", "/api/timelines/drawing/"):
        assert (await client.get(address + query)).status_code == 400


async def test_the_drawing_shows_the_timelines_in_the_order_of_the_query(client: AsyncClient, asked: Asked) -> None:
    traces = [asked(), asked(chat="websocket")]
    for trace, transport in zip(traces, ("held", "websocket"), strict=True):
        assert (await _send(client, _report(trace, transport=transport))).status_code == 200
    page = (await client.get("/api/timelines/drawing/", {"trace": list(map(str, traces[::-1]))})).content.decode()
    assert page.index("WebSocket chat, WebSocket") < page.index("Kafka chat, held polling")
    assert page.count('class="timeline-title"') == 2
    assert all(f"<code>{trace}</code>" in page for trace in traces)
    assert "style=" not in page


async def test_with_redis_away_marks_are_dropped_and_reports_wait(
    client: AsyncClient, asked: Asked, collector: marks.Collector, settings: Settings
) -> None:
    trace = asked()
    await redis.aclose()
    settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
    marks.note(trace, "stored")
    with pytest.raises(RedisError):
        collector.flush()
    response = await _send(client, _report(trace))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "unavailable")
    await redis.aclose()


async def test_marks_reach_redis_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = marks.Collector()
    trace = uuid.uuid4()
    monkeypatch.setattr(marks, "collector", collector)
    marks.note(trace, chat="kafka")
    for _ in range(200):
        if (found := await marks.find(trace)) is not None:
            break
        await asyncio.sleep(0.05)
    assert found is not None
    assert found.facts == {"chat": "kafka"}
