"""What is left of a visitor's budget, as the page asks for it."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import AsyncClient, Client
from pytest_django import Settings

from config import askers
from llm import budgets
from llm.limits import Limits

pytestmark = pytest.mark.django_db(transaction=True)

BUDGET = "/api/budget/"


async def test_it_says_what_is_left_and_counts_nothing_itself(settings: Settings) -> None:
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "anonymous": Limits.parse("2/minute 50000 tokens/day")}
    visitor = AsyncClient()
    await visitor.get("/api/chat/history/")
    full = {"per_minute": 2, "per_hour": None, "tokens_per_day": 50_000}
    for _ in range(3):
        response = await visitor.get(BUDGET)
        assert response.json() == full
        assert "no-store" in response.headers["Cache-Control"]
    await visitor.post("/api/chat/", {"message": "why?"}, content_type="application/json")
    left = (await visitor.get(BUDGET)).json()
    assert left["per_minute"] == 1
    assert left["tokens_per_day"] < 50_000


def test_an_account_has_its_own_and_no_limit_is_null(settings: Settings) -> None:
    settings.LLM_BUDGETS = {**settings.LLM_BUDGETS, "signed-in": Limits()}
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    assert client.get(BUDGET).json() == {"per_minute": None, "per_hour": None, "tokens_per_day": None}


async def test_what_nobody_knows_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: object) -> None:
        return None

    async def away(_: object) -> None:
        raise OperationalError("connection refused")

    for module, name, instead in ((budgets, "remaining", nothing), (askers, "of_request", away)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, instead)
            response = await AsyncClient().get(BUDGET)
            assert (response.status_code, response.content) == (204, b"")
