"""The spans of a question of the Kafka chat, from the request to its stored answer, as a collector gets them."""

import uuid

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from kafka_chat.models import OutboxEntry
from tests.collecting import Receiver, receiver, told, trace_of, tree
from tests.kafka_chat.asking import ask, newcomer
from tests.kafka_chat.conftest import working

__all__ = ["receiver"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "run_log")]

_FOREIGN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_one_id_leads_through_web_kafka_worker_model_and_row(receiver: Receiver) -> None:
    client = await newcomer()
    async with working("relay", "answer", "persist"):
        response = await client.post(
            "/api/chat/",
            {"message": "What is an outbox?"},
            content_type="application/json",
            headers={"traceparent": _FOREIGN},
        )
        asked = response.json()
        state = (await client.get(asked["poll_url"] + "&wait=20")).json()
    assert state["status"] == "answered"
    spans = await receiver.after_all()
    assert tree(spans) == {
        ("", "ask"),
        ("ask", "publish chatbot-questions"),
        ("publish chatbot-questions", "answer"),
        ("answer", "model call"),
        ("answer", "publish chatbot-answers"),
        ("publish chatbot-answers", "store"),
    }
    assert {trace_of(span) for span in spans} == {uuid.UUID(asked["trace_id"])}
    by_name = {span.name: span for span in spans}
    # Somebody else's trace is linked with ours, and does not become it.
    (link,) = by_name["ask"].links
    assert (link.trace_id.hex(), link.span_id.hex()) == tuple(_FOREIGN.split("-")[1:3])
    assert by_name["answer"].kind == Span.SPAN_KIND_CONSUMER
    call = told(by_name["model call"])
    assert (call["gen_ai.provider.name"], call["triptych.outcome"]) == ("scripted", "stop")
    assert call["gen_ai.usage.output_tokens"] > 0
    assert told(by_name["store"])["triptych.outcome"] == "answered"
    assert all(0 < span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    # Neither question nor answer.
    assert b"outbox?" not in b"".join(span.SerializeToString() for span in spans)


async def test_a_question_sent_again_is_told_in_the_trace_that_it_had(receiver: Receiver) -> None:
    client = await newcomer()
    for _ in range(2):
        response = await client.post(
            "/api/chat/", {"message": "why?"}, content_type="application/json", headers={"Idempotency-Key": "a"}
        )
    first, second = await receiver.after_all()
    assert trace_of(first) == trace_of(second) == uuid.UUID(response.json()["trace_id"])
    assert told(second)["triptych.outcome"] == "asked before"


async def test_a_failure_is_one_in_its_spans(receiver: Receiver) -> None:
    client = await newcomer()
    async with working("relay", "answer", "persist"):
        asked = await ask(client, "scene:rejected")
        state = (await client.get(asked["poll_url"] + "&wait=20")).json()
    assert state["status"] == "failed"
    failed = {span.name for span in await receiver.after_all() if span.status.code == Status.STATUS_CODE_ERROR}
    assert failed == {"model call", "answer"}


async def test_without_a_collector_a_message_says_nothing_of_spans() -> None:
    await ask(await newcomer())
    entry = await OutboxEntry.objects.aget()
    assert set(entry.headers) == {"message_id", "trace_id", "schema", "content_type"}
