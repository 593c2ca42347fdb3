"""The staff page on models, and what visitors are told of the small one."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from config.embedded import fetching, recipes
from tests.config.embedded.parts import silent_registry

pytestmark = pytest.mark.django_db

PAGES = ("/models/", "/models/progress/")
BUTTONS = ("/models/fetch/", "/models/cancel/")


@pytest.fixture
def local(settings: Settings, tmp_path: Path) -> Path:
    """Make the settings those of a site that `up` has started with the small model; return the folder for models."""
    _serve(settings, data_folder=tmp_path, llm_local_name=recipes.SMALL)
    return recipes.models_folder(tmp_path)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return what sets up pip, which knows an empty registry."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return monkeypatch


def _serve(settings: Settings, **values: Any) -> None:
    chain = ("local",)
    settings.ENVIRONMENT = settings.ENVIRONMENT.model_copy(
        update={"llm_chat": chain, "llm_sql": chain, "llm_local_url": "http://127.0.0.1:1"} | values
    )
    settings.LLM_CHAINS = {"chat": chain, "sql": chain}


def _text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def _until_ended(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        progress: dict[str, Any] = client.get("/models/progress/").json()
        if progress["state"] != "running":
            return progress
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("path", PAGES + BUTTONS)
def test_only_staff_are_let_in(client: Client, local: Path, path: str) -> None:
    ask = client.get if path in PAGES else client.post
    response = ask(path)
    assert (response.status_code, response.headers["Location"]) == (302, "/admin/login/?next=/models/")
    client.force_login(User.objects.create_user("somebody"))
    response = ask(path)
    assert response.status_code == 403
    assert "Only staff" in response.content.decode()
    assert not local.exists()


@pytest.mark.parametrize("path", BUTTONS)
def test_buttons_want_a_token_and_a_post(admin_user: User, local: Path, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(path).status_code == 403
    assert client.get(path).status_code == 405
    assert not local.exists()


def test_page_says_what_serves_and_offers_the_better_model(admin_client: Client, local: Path) -> None:
    text = _text(admin_client, "/models/")
    assert "<td>SmolLM2-135M-Instruct</td><td>Answers fast, and gets facts wrong.</td>" in text
    assert "Cannot write SQL" in text
    assert "Fetch the better model (1.1 GB)" in text


def test_page_names_the_providers_of_a_chain(admin_client: Client, local: Path, settings: Settings) -> None:
    settings.LLM_CHAINS = {"chat": ("gemini", "local"), "sql": ("openai",)}
    text = _text(admin_client, "/models/")
    assert "<td>gemini, else SmolLM2-135M-Instruct</td><td>Depends on the provider.</td>" in text
    assert "<td>openai</td><td>Depends on the provider.</td>" in text


def test_page_says_why_nothing_can_be_fetched(admin_client: Client, local: Path, settings: Settings) -> None:
    _serve(settings, data_folder=None)
    text = _text(admin_client, "/models/")
    assert "was not started by `make run`" in text
    assert '<form method="post" action="/models/fetch/">' not in text
    admin_client.post("/models/fetch/")
    assert "could not be started" in _text(admin_client, "/models/")
    assert not local.exists()


def test_page_says_why_a_fetched_model_would_not_serve(
    admin_client: Client, local: Path, settings: Settings, tmp_path: Path
) -> None:
    for values, reason in (
        ({"llm_local_name": ""}, "LLM_LOCAL_URL leads to another one"),
        ({"llm_local_model": tmp_path / "mine.gguf"}, "Remove that setting"),
        ({"llm_chat": ("gemini",), "llm_sql": ("gemini",)}, "No local model is in use here"),
    ):
        _serve(settings, **values)
        text = _text(admin_client, "/models/")
        assert reason in text
        assert "Fetch the better model" not in text


def test_model_that_serves_is_not_offered(admin_client: Client, local: Path, settings: Settings) -> None:
    _serve(settings, llm_local_sql_name=recipes.BETTER, llm_local_remark="It writes SQL only: too little memory.")
    text = _text(admin_client, "/models/")
    assert "It is here, and it serves. It writes SQL only" in text
    assert "Writes correct simple SQL" in text
    assert "Fetch the better model" not in text


def test_model_that_was_fetched_is_used_after_a_restart(admin_client: Client, local: Path) -> None:
    local.mkdir()
    (local / recipes.CODER.file_name).write_bytes(b"as if")
    assert "Restart <code>make run</code> to use it" in _text(admin_client, "/models/")


def test_fetch_that_fails_is_said_in_words(admin_client: Client, local: Path, registry: pytest.MonkeyPatch) -> None:
    response = admin_client.post("/models/fetch/")
    assert (response.status_code, response.headers["Location"]) == (302, "/models/")
    progress = _until_ended(admin_client)
    assert progress["state"] == "failed"
    assert progress["message"].startswith("The Python registry that pip is set up for has no ")
    text = _text(admin_client, "/models/")
    assert "registry that pip is set up for has no" in text
    assert "Fetch the better model" in text


def test_fetch_goes_on_beside_the_page_until_it_is_cancelled(
    admin_client: Client, local: Path, registry: pytest.MonkeyPatch
) -> None:
    with silent_registry() as address:
        registry.delenv("PIP_NO_INDEX")
        registry.setenv("PIP_INDEX_URL", address)
        admin_client.post("/models/fetch/")
        assert admin_client.get("/models/progress/").json()["state"] == "running"
        text = _text(admin_client, "/models/")
        assert "<progress" in text
        assert "Cancel" in text
        # A second click begins no second one.
        admin_client.post("/models/fetch/")
        assert fetching.is_running(local)
        admin_client.post("/models/cancel/")
        progress = _until_ended(admin_client)
    assert (progress["state"], "goes on where this one stopped" in progress["message"]) == ("interrupted", True)
    assert "goes on where this one stopped" in _text(admin_client, "/models/")
    assert not fetching.is_running(local)
    admin_client.post("/models/cancel/")
    assert "Nothing was being fetched." in _text(admin_client, "/models/")


# The workspace asks in a thread, on a connection of its own.
@pytest.mark.django_db(transaction=True)
def test_visitors_are_told_what_the_small_model_means(client: Client, admin_client: Client, local: Path) -> None:
    assert "Small local model: it chats, but gets facts wrong. Staff can fetch a better one." in _text(
        client, "/about/"
    )
    assert 'gets facts wrong. <a href="/models/">Fetch a better one</a>' in _text(admin_client, "/about/")
    assert "Small local model: it cannot write SQL" in _text(admin_client, "/data-agent/")


# The workspace asks in a thread, on a connection of its own.
@pytest.mark.django_db(transaction=True)
def test_nothing_is_said_where_another_model_serves(admin_client: Client, local: Path, settings: Settings) -> None:
    _serve(settings, llm_local_sql_name=recipes.BETTER)
    assert "Small local model" in _text(admin_client, "/about/")
    assert "Small local model" not in _text(admin_client, "/data-agent/")
    _serve(settings, llm_local_name="mine")
    assert "Small local model" not in _text(admin_client, "/about/")
    _serve(settings, llm_local_name=recipes.SMALL)
    settings.LLM_CHAINS = {"chat": ("gemini", "local"), "sql": ("local",)}
    assert "Small local model" not in _text(admin_client, "/about/")
