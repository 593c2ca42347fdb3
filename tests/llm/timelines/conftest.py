"""A question that servers have told of, without a server."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient
from django.utils import timezone

from config.observability.counting import Counted
from config.visitors import COOKIE, make_cookie
from llm.timelines import marks
from llm.timelines.models import Timeline


@pytest.fixture
def visitor() -> uuid.UUID:
    """A visitor's id."""
    return uuid.uuid4()


@pytest.fixture
async def client(visitor: uuid.UUID) -> AsyncIterator[AsyncClient]:
    """That visitor's browser."""
    browser = AsyncClient()
    browser.cookies[COOKIE] = make_cookie(visitor)
    yield browser
    # Asynchronous queries have left connections open in their threads.
    await sync_to_async(connections.close_all)()


@pytest.fixture(autouse=True)
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[marks.Collector]:
    """A collector without what other tests have noted."""
    made = marks.Collector(in_background=False)
    monkeypatch.setattr(marks, "collector", made)
    yield made


@pytest.fixture
def asked(visitor: uuid.UUID, collector: marks.Collector) -> Callable[..., uuid.UUID]:
    """Have a question go through the servers; returns its trace."""

    def ask(chat: str = "kafka", **facts: Any) -> uuid.UUID:
        trace, arrived = uuid.uuid4(), timezone.now()
        moments = ("written", 5), ("published", 8), ("picked_up", 12), ("first_token", 112), ("last_token", 900)
        made = {mark: arrived + timedelta(milliseconds=after) for mark, after in moments}
        made |= {"accepted": arrived, "stored": arrived + timedelta(milliseconds=910)}
        said = {"owner": visitor, "chat": chat, "outcome": "answered", "provider": "scripted", "model": "script"}
        marks.note(trace, counted=Counted(reads=1, writes=1), **(made | said | facts))
        marks.note_all([trace, uuid.uuid4()], counted=Counted(writes=1), beside=Counted(writes=1))
        collector.flush()
        return trace

    return ask


def timeline(**values: Any) -> Timeline:
    """Return a timeline that is not stored, but for the given values."""
    return Timeline(
        **{
            "trace_id": uuid.uuid4(),
            "visitor_id": uuid.uuid4(),
            "chat": "kafka",
            "transport": "held",
            "asked_at": timezone.now(),
            "outcome": "answered",
            "marks": {
                "accepted": 2,
                "written": 8,
                "picked_up": 20,
                "first_token": 120,
                "last_token": 900,
                "stored": 910,
            },
            "accepted_seen_ms": 11,
            "first_seen_ms": 940,
            "seen_ms": 940,
            "provider": "scripted",
            "model": "script",
            "prompt_tokens": 1200,
            "completion_tokens": 34,
            "reads": 1,
            "writes": 3.5,
            **values,
        }
    )
