"""What the WebSocket chat tells of a question: its marks, and one write."""

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async

from llm.timelines import marks
from llm.timelines.marks import MARKS
from tests.ws_chat.conftest import Socket, rows

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_run_is_its_own_trace_and_costs_one_write(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = uuid.UUID(await socket.ask("Hello there"))
    _, end = await socket.until_end()
    (row,) = await rows(1)
    assert row.trace_id == run
    told = None
    async with asyncio.timeout(10):
        while told is None or "stored" not in told.marks:
            await sync_to_async(marks.collector.flush)()
            told = await marks.find(run)
            await asyncio.sleep(0.02)
    assert set(MARKS) - set(told.marks) == {"written", "published"}
    moments = [told.marks[mark] for mark in MARKS if mark in told.marks]
    assert moments == sorted(moments)
    facts = told.facts
    assert (facts["owner"], facts["chat"], facts["outcome"]) == (str(visitor), "websocket", "done")
    assert (facts["provider"], facts["completion_tokens"]) == ("scripted", str(end["usage"]["completion_tokens"]))
    assert (told.counted.reads, told.counted.writes) == (0, 1)
    await socket.disconnect()
