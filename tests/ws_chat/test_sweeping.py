"""Records in Redis that a version before this one left, or that nobody can read."""

import json
import uuid

import pytest
from django.utils import timezone

from config import redis
from tests.ws_chat.conftest import rows
from ws_chat import sweeping
from ws_chat.models import Status
from ws_chat.records import Record
from ws_chat.register import register

pytestmark = pytest.mark.django_db(transaction=True)


def _record(visitor: uuid.UUID) -> Record:
    run = uuid.uuid4()
    return Record(
        run_id=run,
        turn_id=run,
        visitor_id=visitor,
        question="Hello",
        answer="Fine.",
        status=Status.DONE,
        started_at=timezone.now(),
        total_ms=1,
        trace_id=uuid.uuid4(),
    )


async def test_a_record_of_a_version_that_knew_no_turns_becomes_a_row(visitor: uuid.UUID) -> None:
    record = _record(visitor)
    old = {name: value for name, value in record.model_dump(mode="json").items() if name != "turn_id"}
    await redis.client().hset("ws:ended", str(record.run_id), json.dumps(old))
    await sweeping.sweep()
    (row,) = await rows(1)
    assert (row.run_id, row.turn_id, row.answer) == (record.run_id, record.run_id, "Fine.")


@pytest.mark.parametrize("key", ["ws:ended", "ws:begun"])
async def test_a_record_that_cannot_be_read_is_laid_aside_and_holds_up_no_other(
    visitor: uuid.UUID, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good = str(uuid.uuid4()), _record(visitor)
    await redis.client().hset(key, broken, '{"question": "a secret"}')
    await register().keep([good])
    await sweeping.sweep()
    (row,) = await rows(1)
    assert row.run_id == good.run_id
    assert not await redis.client().hexists(key, broken)
    assert await redis.client().hget("ws:unreadable", broken) == b'{"question": "a secret"}'
    assert 0 < await redis.client().ttl("ws:unreadable") <= 7 * 24 * 60 * 60
    assert "laid aside" in caplog.text
    assert "a secret" not in caplog.text
