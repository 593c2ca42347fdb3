"""The whole system as `manage.py up` starts it, and a browser in front of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from config.embedded.ports import any_free
from config.env import BASE_DIR
from tests.end_to_end import workspace
from tests.servers import Up, process_environment, up

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]

SCRIPTED = {
    "LLM_CHAT": "scripted",
    "LLM_SQL": "scripted",
    "LLM_SCRIPTED_ANSWERS": str(BASE_DIR / "tests" / "scripted_answers.json"),
    # All tests ask from this machine, and as the same demo analyst.
    "LLM_BUDGET_ADDRESS": "unlimited",
    "LLM_BUDGET_SIGNED_IN": "unlimited",
}

COLLEAGUE = ("colleague", "a password of a test")
_MAKE_COLLEAGUE = """
from django.contrib.auth.models import Permission, User
user = User.objects.create_user({name!r}, password={password!r}, is_staff=True)
user.user_permissions.set(Permission.objects.filter(codename__in=("use_data_agent", "see_personal_data")))
"""

OPERATOR = ("operator", "a password of a test")
# With what operators look after: a question that failed, and a dead letter.
_MAKE_OPERATOR = """
import asyncio, uuid
from django.contrib.auth.models import User
from kafka_chat import topics
from kafka_chat.clients import Publisher
from kafka_chat.models import ChatMessage
User.objects.create_superuser({name!r}, password={password!r})
ChatMessage.objects.create(session_id=uuid.uuid4(), message="Why?", status="failed", error="The model is away.")
async def bury():
    async with Publisher() as publisher:
        headers = {{"dead_topic": topics.QUESTIONS, "dead_error": "UnreadableMessage: no JSON"}}
        await publisher.send(topics.DEAD_LETTERS, key=b"visitor", value=b"no JSON", headers=headers)
asyncio.run(bury())
"""


def find_chromium() -> Path | None:
    """Return the Chromium of this machine, None where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return Path(found) if found else None


@contextmanager
def _system(folder: Path, settings: Mapping[str, str]) -> Iterator[Up]:
    # Not the usual port: this may be a developer's machine, where the system runs already.
    with up(folder / "data", settings, "--port", str(any_free())) as system:
        system.wait_for_url()
        yield system


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory, static_files: None) -> Iterator[Up]:
    """The running system, with the scripted provider."""
    with _system(tmp_path_factory.mktemp("scripted"), SCRIPTED) as system:
        yield system


@pytest.fixture(scope="package")
def running_local_model(tmp_path_factory: pytest.TempPathFactory, static_files: None) -> Iterator[Up]:
    """The running system as `make run` starts it: with the real local model."""
    with _system(tmp_path_factory.mktemp("local-model"), {}) as system:
        yield system


@pytest.fixture(scope="package")
def triptych(running: Up) -> str:
    """The site's address, without a slash at the end."""
    return running.wait_for_url()


# No wider than this package: while Playwright runs, its event loop is in the way of asynchronous tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no chromium on the PATH (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, triptych: str) -> Iterator[BrowserContext]:
    """A new visitor: no cookies, and addresses are the site's."""
    context = browser.new_context(base_url=triptych, viewport={"width": 1280, "height": 800})
    yield context
    context.close()


@pytest.fixture
def page_may_complain(visit: BrowserContext) -> Page:
    """A page for tests in which connections fail, which browsers write to the console."""
    return visit.new_page()


@pytest.fixture
def page(visit: BrowserContext) -> Iterator[Page]:
    """A page that must not complain: an error on its console (which a CSP violation is, too) fails the test."""
    opened = visit.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(f"{message.text} ({message.location['url']})")

    opened.on("console", note)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    assert complaints == []


@pytest.fixture
def analyst(page: Page, running: Up) -> Page:
    """A page of a demo analyst in a new conversation, reached by the link in the terminal."""
    workspace.sign_in(page, running)
    workspace.begin(page)
    return page


@pytest.fixture
def analyst_may_complain(page_may_complain: Page, running: Up) -> Page:
    """The same for tests in which connections fail."""
    workspace.sign_in(page_may_complain, running)
    return page_may_complain


def _run(running: Up, code: str) -> None:
    """Run code of the running system's."""
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", code],
        cwd=BASE_DIR,
        env=process_environment({**SCRIPTED, "ENV_FILE": str(running.folder / "up.env")}),
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="package")
def colleague_account(running: Up) -> tuple[str, str]:
    """Name and password of another analyst, who is staff and may see personal data."""
    name, password = COLLEAGUE
    _run(running, _MAKE_COLLEAGUE.format(name=name, password=password))
    return COLLEAGUE


@pytest.fixture(scope="package")
def operator_account(running: Up) -> tuple[str, str]:
    """Name and password of somebody who may do everything, and has something to do."""
    return make_operator(running)


def make_operator(running: Up) -> tuple[str, str]:
    """Make the operator and what there is to do; return name and password."""
    name, password = OPERATOR
    _run(running, _MAKE_OPERATOR.format(name=name, password=password))
    return OPERATOR


@pytest.fixture
def colleague(browser: Browser, triptych: str, colleague_account: tuple[str, str]) -> Iterator[Page]:
    """A page of that analyst, who has signed in."""
    with _signed_in(browser, triptych, colleague_account, to="/data-agent/?new") as page:
        workspace.connected(page)
        yield page


@pytest.fixture
def operator(browser: Browser, triptych: str, operator_account: tuple[str, str]) -> Iterator[Page]:
    """A page of that operator, who has signed in to the admin."""
    with _signed_in(browser, triptych, operator_account, to="/admin/") as page:
        yield page


@contextmanager
def _signed_in(browser: Browser, site: str, account: tuple[str, str], *, to: str) -> Iterator[Page]:
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    enter(page, account, to=to)
    yield page
    context.close()


def enter(page: Page, account: tuple[str, str], *, to: str) -> None:
    """Sign in on the admin's page, to be led to this address."""
    name, password = account
    page.goto(f"/admin/login/?{urlencode({'next': to})}")
    page.locator("#id_username").fill(name)
    page.locator("#id_password").fill(password)
    page.locator("#id_password").press("Enter")
    expect(page).not_to_have_url(re.compile("/admin/login/"))
