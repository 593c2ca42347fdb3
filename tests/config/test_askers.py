import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError
from django.http import HttpRequest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from config import askers
from llm.budgets import Asker

pytestmark = pytest.mark.django_db(transaction=True)

VISITOR = uuid.UUID("0190163d-8694-739b-aea5-966c26f8ad91")


@pytest.fixture(params=["signed-in", "staff"])
def account(request: pytest.FixtureRequest) -> User:
    """An account of each tier."""
    return User.objects.create_user("ada", is_staff=request.param == "staff")


def _cookie(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _scope(cookie: str = "") -> dict[str, Any]:
    headers = [(b"cookie", f"theme=dark; {cookie}".encode())] if cookie else []
    return {"headers": headers, "client": ["2001:db8:1:2:3::1", 5], "visitor_id": VISITOR}


@pytest.mark.parametrize("cookie", ["", f"{settings.SESSION_COOKIE_NAME}="])
def test_who_has_no_session_is_a_visitor_and_nothing_is_read(
    django_assert_num_queries: DjangoAssertNumQueries, cookie: str
) -> None:
    with django_assert_num_queries(0):
        assert async_to_sync(askers.of_socket)(_scope(cookie)) == Asker(str(VISITOR), "2001:db8:1:2::/64", "anonymous")


async def test_a_session_that_is_over_is_a_visitors() -> None:
    assert (await askers.of_socket(_scope(f"{settings.SESSION_COOKIE_NAME}=gone"))).tier == "anonymous"


async def test_a_socket_of_an_account_counts_for_the_account(account: User) -> None:
    cookie = await database_sync_to_async(_cookie)(account)
    tier = "staff" if account.is_staff else "signed-in"
    asker = await askers.of_socket(_scope(cookie))
    assert asker == Asker(f"account-{account.pk}", "2001:db8:1:2::/64", tier)
    assert askers.of_account(account, _scope()) == asker


async def test_without_the_database_a_socket_is_a_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(key: str) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(askers, "_user_of", away)
    asker = await askers.of_socket(_scope(f"{settings.SESSION_COOKIE_NAME}=some"))
    assert asker == Asker(str(VISITOR), "2001:db8:1:2::/64", "anonymous")


async def test_a_request_counts_as_a_socket_does(account: User) -> None:
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "198.51.100.7"
    request.visitor_id = VISITOR  # type: ignore[attr-defined]

    async def auser() -> User:
        return account

    request.auser = auser  # type: ignore[method-assign]
    assert (await askers.of_request(request)) == Asker(str(VISITOR), "198.51.100.7")
    request.COOKIES[settings.SESSION_COOKIE_NAME] = "some"
    tier = "staff" if account.is_staff else "signed-in"
    assert (await askers.of_request(request)) == Asker(f"account-{account.pk}", "198.51.100.7", tier)
