"""What a run leaves in the metrics."""

import uuid

import pytest

from tests.measured import Since
from tests.ws_chat.conftest import Socket, rows

pytestmark = pytest.mark.django_db(transaction=True)


async def test_runs_are_counted_by_their_end_with_what_their_visitor_waited(visitor: uuid.UUID) -> None:
    since = Since()
    socket = await Socket(visitor).opened()
    await socket.ask("Hello there")
    await socket.until_end()
    run = await socket.ask("scene:slow please")
    seen = (await socket.receive_json_from(timeout=5))["seq"]
    await socket.send_json_to({"type": "stop", "run": run, "seen": seen})
    await socket.until_end()
    await rows(2)
    await socket.disconnect()
    assert since.more("triptych_runs_total", transport="websocket", end="done") == 1
    assert since.more("triptych_runs_total", transport="websocket", end="stopped") == 1
    for name in ("triptych_first_token_seconds_count", "triptych_answer_seconds_count"):
        assert since.more(name, transport="websocket", provider="scripted") == 2
    # Milliseconds have become seconds.
    assert 0 < since.more("triptych_answer_seconds_sum", transport="websocket") < 60
