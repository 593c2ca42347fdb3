"""Passwords are not found by trying, and who is refused is told how long to wait."""

import html
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from config import redis, sign_ins
from config.embedded.ports import any_free
from config.sign_ins import Attempt, TooManyAttempts

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
WAIT = re.compile(r"There were too many attempts to sign in. Please wait (14|15) minutes, then try again.")
# An account from one network.
LIMIT = sign_ins.ACCOUNT_FROM_NETWORK[0]


@pytest.fixture
def name() -> str:
    """The name of an account of staff, at which nobody has tried to sign in before."""
    name = f"ada-{uuid.uuid4().hex}"
    User.objects.create_user(name, password=PASSWORD, is_staff=True)
    return name


def somewhere() -> str:
    """An address from which nobody has tried before."""
    return str(IPv6Address(uuid.uuid4().int))


def sign_in(name: str, password: str, address: str) -> str:
    """Post the form; return what the page says, nothing where it leads on."""
    form = {"username": name, "password": password}
    response = Client(REMOTE_ADDR=address).post("/admin/login/?next=/admin/", form)
    if response.status_code == 302:
        return ""
    return html.unescape(response.content.decode())


def test_after_too_many_attempts_the_right_password_waits_too_and_the_page_says_how_long(name: str) -> None:
    here = somewhere()
    for _ in range(LIMIT):
        assert "Please enter the correct username and password" in sign_in(name, "wrong", here)
    # Another way to write the name is no other account's.
    assert WAIT.search(sign_in(name.upper(), "wrong", here))
    assert WAIT.search(sign_in(name, PASSWORD, here))
    # Its owner is somewhere else.
    assert sign_in(name, PASSWORD, somewhere()) == ""


def test_who_knows_the_password_begins_anew_and_a_form_without_one_does_not(name: str) -> None:
    here = somewhere()
    for _ in range(LIMIT - 1):
        sign_in(name, "wrong", here)
    assert sign_in(name, PASSWORD, here) == ""
    for _ in range(LIMIT - 1):
        sign_in(name, "wrong", here)
    assert "This field is required" in sign_in(name, "", here)
    assert WAIT.search(sign_in(name, PASSWORD, here))


def test_a_network_has_a_limit_for_all_accounts_together_which_a_success_does_not_lift(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_ins, "NETWORK", (3, 15 * 60))
    here = IPv6Address(uuid.uuid4().int >> 64 << 64)
    for number in range(3):
        assert sign_in(name, PASSWORD, str(here)) == ""
        # A client chooses the last bits of its address.
        assert "correct username" in sign_in(f"{name}-{number}", "wrong", str(here + number))
    assert WAIT.search(sign_in(f"{name}-3", "wrong", str(here)))


def test_an_account_has_a_limit_for_all_networks_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_ins, "ACCOUNT", (2, 15 * 60))
    sign_in(name, "wrong", somewhere())
    sign_in(name, "wrong", somewhere())
    assert WAIT.search(sign_in(name, PASSWORD, somewhere()))


def test_of_many_attempts_at_once_no_more_than_the_limit_are_looked_at() -> None:
    here, name = somewhere(), uuid.uuid4().hex

    def attempt(_: int) -> bool:
        try:
            async_to_sync(Attempt.at(name, here).take)()
        except TooManyAttempts:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(3 * LIMIT))) == LIMIT


async def test_names_and_passwords_are_not_kept_and_all_that_is_expires() -> None:
    name = f"typed-{uuid.uuid4().hex}"
    attempt = Attempt.at(name, somewhere())
    await attempt.take()
    keys = [key async for key in redis.client().scan_iter("config:sign-ins:*")]
    assert len([key for key in keys if attempt.account in key.decode()]) == 2
    assert not [key for key in keys if name in key.decode()]
    for key in keys:
        assert 0 < await redis.client().pttl(key) <= sign_ins.ACCOUNT[1] * 1000


def test_without_redis_a_process_looks_at_a_few_attempts(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
    monkeypatch.setattr(sign_ins, "ALONE", (2, 60))
    sign_ins._alone.clear()
    assert "correct username" in sign_in(name, "wrong", somewhere())
    assert sign_in(name, PASSWORD, somewhere()) == ""
    assert re.search(r"Please wait \d\d seconds", sign_in(name, PASSWORD, somewhere()))
    sign_ins._alone.clear()
