"""The one-click sign-in: on this machine, in a demo, with a fresh token, and in no other case."""

import time

import pytest
from django.contrib.auth.models import User
from django.core.signing import TimestampSigner, b62_encode
from django.test import Client
from pytest_django import Settings

from config import demo

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_a_demo(settings: Settings) -> None:
    """Switch the demo on."""
    settings.DEMO = True


@pytest.fixture
def path(settings: Settings) -> str:
    """Return the path of a fresh link."""
    return demo.link("", settings.SECRET_KEY)


def test_link_signs_in_an_analyst_who_may_use_the_data_agent_and_nothing_else(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, "/data-agent/")
    analyst = User.objects.get(pk=client.session["_auth_user_id"])
    assert analyst.get_all_permissions() == {"data_agent.use_data_agent"}
    assert not analyst.is_staff
    assert not analyst.has_usable_password()


def test_link_works_twice_for_the_same_analyst(path: str) -> None:
    assert [Client().get(path).status_code for _ in range(2)] == [302, 302]
    assert User.objects.count() == 1


def test_page_is_not_kept_by_browsers(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]


def test_without_demo_there_is_no_such_page(client: Client, settings: Settings, path: str) -> None:
    settings.DEMO = False
    assert client.get(path).status_code == 404
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "origin",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
    ],
)
def test_other_machines_find_no_such_page(client: Client, path: str, origin: dict[str, str]) -> None:
    assert client.get(path, **origin).status_code == 404  # type: ignore[arg-type]
    assert not User.objects.exists()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_has_several_addresses(client: Client, path: str, address: str) -> None:
    assert client.get(path, REMOTE_ADDR=address).status_code == 302


def test_forged_link_says_what_to_do(client: Client, path: str) -> None:
    response = client.get(path.rstrip("/") + "x/")
    assert response.status_code == 403
    assert b"fresh" in response.content
    assert not User.objects.exists()


def test_old_link_says_what_to_do(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    a_day_ago = b62_encode(int(time.time() - demo.LINK_AGE.total_seconds() - 60))
    with monkeypatch.context() as patch:
        patch.setattr(TimestampSigner, "timestamp", lambda self: a_day_ago)
        path = demo.link("", settings.SECRET_KEY)
    response = client.get(path)
    assert response.status_code == 403
    assert b"older than a day" in response.content


def test_token_made_for_something_else_is_no_link(client: Client, settings: Settings) -> None:
    from django.core import signing

    token = signing.dumps(demo.USERNAME, key=settings.SECRET_KEY)
    assert client.get(f"/demo/{token}/").status_code == 403


def test_account_with_a_password_is_not_taken_over(client: Client, path: str) -> None:
    User.objects.create_user(demo.USERNAME, password="a person's own")
    assert client.get(path).status_code == 403
    assert "_auth_user_id" not in client.session


def test_link_cannot_be_posted(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
