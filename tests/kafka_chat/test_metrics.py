"""What a question leaves in the metrics, on its whole way and where it waits."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from prometheus_client import Metric
from uuid_utils.compat import uuid7

from config.observability import looking
from kafka_chat import topics
from kafka_chat.clients import Publisher
from kafka_chat.models import ChatMessage, Status
from llm.ledger import calls
from llm.models import Price
from tests.kafka_chat.asking import ask, newcomer
from tests.kafka_chat.conftest import working
from tests.measured import Since

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "run_log")]


def _look() -> dict[str, Metric]:
    """Return the site's gauges as they are now."""
    return {family.name: family for family in looking.SITE.collect()}


@pytest.fixture(autouse=True)
def always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look anew each time, for as long as it takes on a busy machine."""
    monkeypatch.setattr(looking, "FRESH", 0.0)
    monkeypatch.setattr(looking, "PATIENCE", 30.0)


async def _finish(message_id: str) -> ChatMessage:
    async with asyncio.timeout(60):
        while True:
            row = await ChatMessage.objects.aget(message_id=message_id)
            if row.status not in (Status.QUEUED, Status.GENERATING):
                return row
            await asyncio.sleep(0.1)


async def test_a_question_is_counted_where_it_waits_and_where_it_ends() -> None:
    await Price.objects.acreate(provider="scripted", prompt_usd=1, completion_usd=1)
    since = Since()
    client = await newcomer()
    asked = await ask(client)

    waiting = await asyncio.to_thread(_look)
    assert {sample.labels["status"]: sample.value for sample in waiting["triptych_open_questions"].samples} == {
        "queued": 1,
        "generating": 0,
    }
    assert [sample.value for sample in waiting["triptych_outbox_backlog"].samples] == [1]
    assert [sample.value > 0 for sample in waiting["triptych_oldest_unanswered_seconds"].samples] == [True]

    async with working():
        row = await _finish(asked["message_id"])
    await sync_to_async(calls.ledger.flush)()
    assert row.status == Status.ANSWERED

    assert since.more("triptych_runs_total", transport="kafka", end="answered") == 1
    for name in ("triptych_first_token_seconds_count", "triptych_answer_seconds_count"):
        assert since.more(name, transport="kafka", provider="scripted") == 1
    assert since.more("triptych_answer_seconds_sum", transport="kafka") >= 0.001
    assert since.more("triptych_model_calls_total", purpose="chat", provider="scripted", outcome="stop") == 1
    tokens = since.more("triptych_model_tokens_total", purpose="chat", provider="scripted", kind="completion")
    assert tokens == row.completion_tokens
    assert since.more("triptych_model_cost_usd_total", purpose="chat") > 0

    done = await asyncio.to_thread(_look)
    assert [sample.value for sample in done["triptych_outbox_backlog"].samples] == [0]
    assert [sample.value for sample in done["triptych_oldest_unanswered_seconds"].samples] == [0]
    lag = done["triptych_kafka_lag"].samples
    assert {sample.labels["group"] for sample in lag} == {"chatbot-answer", "chatbot-persist", "chatbot-categorise"}
    assert len(lag) == 3 * settings.KAFKA_PARTITIONS


async def test_poison_is_counted_as_a_dead_letter() -> None:
    since = Since()

    async with working("answer"), Publisher() as publisher:
        await publisher.send(topics.QUESTIONS, key=uuid.uuid4().bytes, value=b"poison", headers={"id": str(uuid7())})
        async with asyncio.timeout(60):
            while not since.more("triptych_dead_letters_total", topic=topics.QUESTIONS):
                await asyncio.sleep(0.1)
