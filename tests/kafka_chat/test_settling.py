"""Dead letters sent back or dismissed from the admin."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from config.embedded.ports import any_free
from config.observability import looking
from kafka_chat import letters, positions, topics
from kafka_chat.clients import Publisher
from tests.operators import operator_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("operators_page")]

SETTLE = "/admin/operations/dead-letters/settle/"


async def _bury(*origins: str) -> None:
    async with Publisher() as publisher:
        for origin in origins:
            headers: dict[str, str | bytes | None] = {"dead_topic": origin, "dead_error": "UnreadableMessage: no JSON"}
            await publisher.send(topics.DEAD_LETTERS, key=b"visitor", value=b"bytes", headers=headers)


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await sync_to_async(work)()


def _post(client: Client, **fields: str) -> str:
    response = client.post(SETTLE, fields, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def _confirmed(page: str) -> str:
    """Return what the page's form says of the letters that it has shown."""
    found = re.search(r'name="up_to" value="([^"]+)"', page)
    assert found is not None
    return found[1]


@pytest.mark.usefixtures("broker", "run_log")
async def test_those_that_were_shown_are_settled_after_a_yes_and_none_that_came_later() -> None:
    await asyncio.to_thread(topics.ensure)
    await _bury(topics.ANSWERS, "somebody-elses")
    operator = await _in_thread(lambda: operator_of("kafka_chat", "view_chatmessage", "change_chatmessage"))
    page = await _in_thread(lambda: _post(operator, action="send-back"))
    assert "<strong>1 dead letter</strong> will be sent back, oldest first: 1 to chatbot-answers." in page
    assert "1 of the letters knows no topic to go back to" in page
    assert len(await asyncio.to_thread(letters.unsent)) == 2
    await _bury(topics.ANSWERS)
    shown = _confirmed(page)
    page = await _in_thread(lambda: _post(operator, action="send-back", up_to=shown))
    assert "1 dead letter was sent back." in page
    assert len(await asyncio.to_thread(letters.unsent)) == 1
    # A second yes to the same page does nothing.
    assert "0 dead letters were sent back." in await _in_thread(
        lambda: _post(operator, action="send-back", up_to=shown)
    )
    page = await _in_thread(lambda: _post(operator, action="dismiss"))
    assert "<strong>1 dead letter</strong> will be dismissed." in page
    page = await _in_thread(lambda: _post(operator, action="dismiss", up_to=_confirmed(page)))
    assert "1 dead letter was dismissed." in page
    assert await asyncio.to_thread(letters.unsent) == []
    assert "All dead letters were sent back or dismissed before." in await _in_thread(
        lambda: _post(operator, action="dismiss")
    )
    said = await _in_thread(lambda: list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)))
    assert [each.partition(":")[0] for each in said] == ["1 dead letter was sent back", "1 dead letter was dismissed"]
    sent = await asyncio.to_thread(_in_topic, topics.ANSWERS)
    assert sent == 1


def _in_topic(topic: str) -> int:
    with positions.bystander(letters.GROUP) as consumer:
        return sum(each.high - each.low for each in positions.of(consumer, topic))


def test_a_broker_that_is_away_is_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{any_free()}"
    monkeypatch.setattr(positions, "_TIMEOUT", 0.3)
    monkeypatch.setattr(looking, "PATIENCE", 0.3)
    operator = operator_of("kafka_chat", "view_chatmessage", "change_chatmessage")
    assert "nothing was done" in _post(operator, action="dismiss")
    assert not LogEntry.objects.exists()


def test_who_may_only_look_settles_none() -> None:
    viewer = operator_of("kafka_chat", "view_chatmessage")
    assert viewer.post(SETTLE, {"action": "dismiss"}).status_code == 403
    assert viewer.get(SETTLE).status_code == 405


@pytest.mark.parametrize("action", ["", "forget"])
def test_an_action_that_there_is_not_is_refused(action: str) -> None:
    operator = operator_of("kafka_chat", "view_chatmessage", "change_chatmessage")
    assert operator.post(SETTLE, {"action": action}).status_code == 400
