"""The data agent's budget belongs to the account: a proposal takes from it, an answer is added to it."""

from collections.abc import AsyncIterator

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from pytest_django import Settings

from data_agent.demo_data import DemoData
from data_agent.models import Step
from llm import budgets
from llm.budgets import Asker
from llm.limits import Limits
from tests.data_agent.test_consumer import COUNTRIES, Socket, ask, receive, socket_for

DAY = 100_000


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    """Few questions."""
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "signed-in": Limits(2, None, DAY)}


@pytest.fixture
async def socket(analytics: DemoData, analyst: User) -> AsyncIterator[Socket]:
    communicator = socket_for(analyst)
    assert (await communicator.connect())[0]
    yield communicator
    await communicator.disconnect()


async def _used(analyst: User) -> int:
    left = await budgets.remaining(Asker(f"account-{analyst.pk}", "192.0.2.7", "signed-in"))
    assert left is not None
    assert left.tokens_per_day is not None
    return DAY - left.tokens_per_day


async def test_one_question_too_many_is_refused_with_the_wait_and_stores_nothing(socket: Socket) -> None:
    for _ in range(2):
        await ask(socket, COUNTRIES)
    await socket.send_json_to({"type": "ask", "text": COUNTRIES})
    error = await socket.receive_json_from()
    assert (error["type"], error["code"]) == ("error", "budget_exceeded")
    assert 0 < error["retry_after"] <= 60
    assert error["message"].startswith("You have asked 2 questions within a minute, which is the limit.")
    assert await database_sync_to_async(Step.objects.count)() == 2


async def test_what_a_proposal_and_its_answer_used_counts_and_the_answer_is_not_refused(
    socket: Socket, analyst: User
) -> None:
    step = await ask(socket, COUNTRIES)
    await ask(socket, COUNTRIES)
    proposed = await _used(analyst)
    assert proposed > 0
    await socket.send_json_to({"type": "approve", "step": step["id"], "sha256": step["sha256"]})
    while (await receive(socket, "step"))["step"]["state"] != "answered":
        pass
    assert await _used(analyst) > proposed


async def test_another_query_for_a_rejected_one_is_a_question_too(socket: Socket) -> None:
    step = await ask(socket, COUNTRIES)
    await ask(socket, COUNTRIES)
    await socket.send_json_to({"type": "reject", "step": step["id"], "reason": "not by country"})
    assert (await receive(socket, "step"))["step"]["state"] == "rejected"
    assert (await socket.receive_json_from())["code"] == "budget_exceeded"
