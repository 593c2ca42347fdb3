"""`manage.py check --deploy`, with settings as they should be and as they should not, and what these settings do."""

import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from config.env import BASE_DIR
from tests.conftest import SETTINGS
from tests.servers import process_environment

PRODUCTION = {
    "SECRET_KEY": "production's own, fifty characters and more: 0123456789",
    "ALLOWED_HOSTS": "chat.example.org,127.0.0.1",
    "SECURE_COOKIES": "true",
    "TRUSTED_PROXIES": "1",
    "HSTS_SECONDS": "31536000",
    "HSTS_SUBDOMAINS": "true",
    "HSTS_PRELOAD": "true",
}
ONES_OWN_MACHINE = PRODUCTION | {
    "SECRET_KEY": "short",
    "ALLOWED_HOSTS": "localhost",
    "SECURE_COOKIES": "false",
    "HSTS_SECONDS": "0",
    "DEBUG": "true",
    "DEMO": "true",
}


def _check(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=BASE_DIR,
        env=process_environment(SETTINGS | {"LLM_CHAT": "scripted", "LLM_SQL": "scripted"} | environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_with_production_settings_nothing_is_left_to_say() -> None:
    result = _check(PRODUCTION)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no issues" in result.stdout


def test_every_setting_for_ones_own_machine_is_named() -> None:
    result = _check(ONES_OWN_MACHINE)
    assert result.returncode == 1
    for name in ("W001", "W002", "W003", "W004"):
        assert f"(config.{name})" in result.stderr
    # A weak key, and debug pages.
    for name in ("W009", "W018"):
        assert f"(security.{name})" in result.stderr


@pytest.fixture
def production(settings: Settings) -> None:
    """The settings that production's environment makes."""
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.django_db
def test_plain_http_is_led_to_https_but_for_health_checks(production: None) -> None:
    response = Client().get("/about/?a=1")
    assert (response.status_code, response.headers["Location"]) == (301, "https://testserver/about/?a=1")
    assert Client().get("/healthz").status_code == 200
    response = Client().get("/about/", headers={"X-Forwarded-Proto": "https"})
    assert response.status_code == 200
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_where_no_proxy_is_ours_nobody_says_that_a_request_came_over_https(settings: Settings) -> None:
    assert settings.TRUSTED_PROXIES == 0
    assert settings.SECURE_PROXY_SSL_HEADER is None


@pytest.mark.django_db
def test_pages_and_files_say_what_browsers_keep_from_them_and_from_others(client: Client) -> None:
    page = client.get("/about/")
    stylesheet = page.content.decode().partition('rel="stylesheet" href="')[2].partition('"')[0]
    for response in (page, client.get(stylesheet), client.get("/nothing/")):
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        permissions = response.headers["Permissions-Policy"].split(", ")
        assert {"camera=()", "microphone=()", "geolocation=()", "clipboard-write=(self)"} <= set(permissions)


@pytest.mark.parametrize("password", ["elevenchars", "qwerty123456", "1234567890123", "ada.lovelace1815"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="ada.lovelace1815"))


@pytest.mark.django_db
def test_files_are_not_taken(client: Client) -> None:
    response = client.post("/admin/login/", {"username": SimpleUploadedFile("a.txt", b"text")})
    assert response.status_code == 400
