"""The spans of a question of the WebSocket chat, as a collector gets them."""

import uuid

import pytest

from tests.collecting import Receiver, receiver, told, trace_of, tree
from tests.ws_chat.conftest import Socket, rows
from ws_chat.generating import generations

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db(transaction=True)

_FOREIGN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_run_is_a_trace_from_the_frame_to_its_row(visitor: uuid.UUID, receiver: Receiver) -> None:
    socket = await Socket(visitor).opened()
    await socket.send_json_to({"type": "ask", "text": "Hello there", "traceparent": _FOREIGN})
    run = uuid.UUID((await socket.receive_json_from(timeout=5))["run"])
    await socket.until_end()
    await rows(1)
    await generations().shut_down()
    spans = await receiver.after_all()
    assert tree(spans) == {("", "ask"), ("ask", "answer"), ("answer", "model call"), ("ask", "store")}
    assert {trace_of(span) for span in spans} == {run}
    by_name = {span.name: span for span in spans}
    assert [link.trace_id.hex() for link in by_name["ask"].links] == [_FOREIGN.split("-")[1]]
    assert told(by_name["answer"])["triptych.outcome"] == "done"
    assert told(by_name["store"])["triptych.outcome"] == "stored"
    assert b"Hello" not in b"".join(span.SerializeToString() for span in spans)
    await socket.disconnect()


@pytest.mark.parametrize("given", [_FOREIGN + "-x", _FOREIGN.upper(), "00-1-2-01", _FOREIGN + "\n", 7])
async def test_a_frame_whose_parent_is_malformed_is_refused(visitor: uuid.UUID, given: object) -> None:
    socket = await Socket(visitor).opened()
    await socket.send_json_to({"type": "ask", "text": "Hello there", "traceparent": given})
    assert (await socket.receive_json_from(timeout=5))["code"] == "invalid_frame"
    await socket.disconnect()
