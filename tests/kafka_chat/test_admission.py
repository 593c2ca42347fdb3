"""The Kafka chat's budget: taken when a question is accepted, settled by the worker that answers it."""

import asyncio
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from config.visitors import COOKIE, read_cookie
from kafka_chat import admission
from kafka_chat.models import ChatMessage, OutboxEntry
from llm import budgets
from llm.budgets import Asker, Remaining
from llm.limits import Limits
from tests.kafka_chat.conftest import working

ADDRESS = "127.0.0.1"


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    """Few questions."""
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "anonymous": Limits.parse("2/minute 100000 tokens/day")}
    settings.LLM_BUDGETS["staff"] = Limits.parse("3/minute")


@pytest.fixture
def visitor() -> Client:
    """A browser that has been here before."""
    client = Client()
    client.get("/api/chat/history/")
    return client


def _ask(client: Client, message: str = "Hello", **headers: str) -> Any:
    return client.post("/api/chat/", {"message": message}, content_type="application/json", headers=headers)


def _remaining(client: Client) -> Remaining | None:
    return async_to_sync(budgets.remaining)(Asker(str(read_cookie(client.cookies[COOKIE].value)), ADDRESS))


@pytest.mark.django_db(transaction=True)
def test_one_question_too_many_is_refused_with_the_wait_and_stores_nothing(visitor: Client) -> None:
    assert [_ask(visitor).status_code for _ in range(2)] == [202, 202]
    response = _ask(visitor)
    assert response.status_code == 429
    wait = int(response.headers["Retry-After"])
    assert 0 < wait <= 60
    error = response.json()["error"]
    assert error["code"] == "budget_exceeded"
    assert error["message"].startswith("You have asked 2 questions within a minute, which is the limit. Please wait ")
    assert ChatMessage.objects.count() == OutboxEntry.objects.count() == 2
    assert _ask(Client()).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_bad_input_costs_nothing(visitor: Client) -> None:
    assert [_ask(visitor, " ").status_code for _ in range(5)] == [400] * 5
    assert _remaining(visitor) == Remaining(2, None, 100_000)


@pytest.mark.django_db(transaction=True)
def test_a_question_sent_again_with_its_key_is_counted_once_and_comes_back_at_the_limit(visitor: Client) -> None:
    first = [_ask(visitor, **{"Idempotency-Key": "k1"}).json()["message_id"] for _ in range(4)]
    left = _remaining(visitor)
    assert left is not None
    assert left.per_minute == 1
    assert _ask(visitor).status_code == 202
    assert _ask(visitor, **{"Idempotency-Key": "k2"}).status_code == 429
    again = _ask(visitor, **{"Idempotency-Key": "k1"})
    assert again.status_code == 202
    assert {again.json()["message_id"]} == set(first)


@pytest.mark.django_db(transaction=True)
def test_a_question_that_cannot_be_stored_is_given_back(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        patched.setitem(connection.settings_dict, "PORT", "1")
        assert _ask(visitor).status_code == 503
    assert _remaining(visitor) == Remaining(2, None, 100_000)


@pytest.mark.django_db(transaction=True)
def test_an_account_has_the_limits_of_its_tier_in_every_browser() -> None:
    user = User.objects.create_user(f"ada-{uuid.uuid4()}", is_staff=True)
    answers = []
    for _ in range(2):
        client = Client()
        client.force_login(user)
        answers += [_ask(client).status_code for _ in range(2)]
    assert answers == [202, 202, 202, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(("text", "spent"), [("What is an outbox?", True), ("scene:rejected", False)])
async def test_the_worker_settles_what_the_web_process_has_reserved(text: str, spent: bool) -> None:
    visitor = uuid.uuid4()
    asker = Asker(str(visitor), ADDRESS)
    row = await admission.ask(asker, visitor, text)
    reserved = await budgets.remaining(asker)
    assert reserved is not None
    left = reserved
    async with working(), asyncio.timeout(30):
        while left == reserved:
            await asyncio.sleep(0.02)
            left = await budgets.remaining(asker) or reserved
        while (stored := await ChatMessage.objects.aget(pk=row.pk)).status in {"queued", "generating"}:
            await asyncio.sleep(0.02)
    used = (stored.prompt_tokens or 0) + (stored.completion_tokens or 0)
    assert bool(used) == spent
    assert left == Remaining(1, None, 100_000 - used)
