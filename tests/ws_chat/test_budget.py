"""The WebSocket chat's budget: taken before an answer begins, settled with what it used."""

import asyncio
import uuid

import pytest
from channels.db import database_sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from config.addresses import UNKNOWN
from llm import budgets
from llm.budgets import Asker, Remaining
from llm.limits import Limits
from tests.ws_chat.conftest import Socket
from ws_chat import protocol
from ws_chat.models import ChatMessage

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 100_000


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    """Few questions."""
    settings.LLM_BUDGETS = {"anonymous": Limits(2, None, DAY), "staff": Limits(3), "signed-in": Limits(1)}


async def _settled(asker: Asker) -> Remaining:
    """Return what is left when no reservation is open any more: they are settled after the end was sent."""
    async with asyncio.timeout(10):
        while True:
            left = await budgets.remaining(asker)
            assert left is not None
            assert left.tokens_per_day is not None
            if left.tokens_per_day > DAY - django_settings.LLM_ANSWER_TOKENS:
                return left
            await asyncio.sleep(0.01)


async def test_one_question_too_many_is_refused_with_the_wait(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    for _ in range(2):
        await socket.ask("Hello")
        await socket.until_end()
    # A refusal is no malformed frame: the connection stays.
    for _ in range(protocol.MAX_REFUSED + 1):
        await socket.send_json_to({"type": "ask", "text": "Hello"})
        error = await socket.receive_json_from()
        assert (error["type"], error["code"]) == ("error", "budget_exceeded")
        assert 0 < error["retry_after"] <= 60
        assert error["message"].startswith("You have asked 2 questions within a minute, which is the limit.")
    await socket.send_json_to({"type": "ping"})
    assert await socket.receive_json_from() == {"type": "pong"}
    await socket.disconnect()
    assert await database_sync_to_async(ChatMessage.objects.count)() == 2


async def test_several_connections_of_a_visitor_share_the_budget(visitor: uuid.UUID) -> None:
    sockets = [await Socket(visitor).opened() for _ in range(3)]
    for socket in sockets[:2]:
        await socket.ask("Hello")
        for each in sockets:
            while (await each.receive_json_from(timeout=5))["type"] != "end":
                pass
    await sockets[2].send_json_to({"type": "ask", "text": "Hello"})
    assert (await sockets[2].receive_json_from())["code"] == "budget_exceeded"
    for socket in sockets:
        await socket.disconnect()


async def test_a_run_is_settled_with_what_it_used(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    await socket.ask("Hello there")
    _, end = await socket.until_end()
    used = end["usage"]["prompt_tokens"] + end["usage"]["completion_tokens"]
    assert await _settled(Asker(str(visitor), UNKNOWN)) == Remaining(1, None, DAY - used)
    await socket.disconnect()


@pytest.mark.parametrize("way", ["stop", "disconnect"])
async def test_a_run_that_is_ended_early_is_settled_with_what_it_had_used(visitor: uuid.UUID, way: str) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("scene:slow please")
    for _ in range(2):
        await socket.receive_json_from(timeout=5)
    if way == "stop":
        await socket.send_json_to({"type": "stop", "run": run, "seen": 2})
        await socket.until_end()
    await socket.disconnect()
    left = await _settled(Asker(str(visitor), UNKNOWN))
    assert left.per_minute == 1
    assert left.tokens_per_day is not None
    assert 0 < DAY - left.tokens_per_day < 200


async def test_a_socket_of_staff_has_their_limits() -> None:
    def sign_in() -> str:
        client = Client()
        client.force_login(User.objects.create_user(f"ada-{uuid.uuid4()}", is_staff=True))
        return str(client.cookies[django_settings.SESSION_COOKIE_NAME].value)

    cookie = await database_sync_to_async(sign_in)()
    kinds = []
    for _ in range(2):
        socket = Socket(uuid.uuid4())
        socket.scope["headers"].append((b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={cookie}".encode()))
        await socket.opened()
        for _ in range(2):
            await socket.send_json_to({"type": "ask", "text": "Hello"})
            kinds.append((await socket.receive_json_from())["type"])
            if kinds[-1] == "started":
                await socket.until_end()
        await socket.disconnect()
    assert kinds == ["started", "started", "started", "error"]
