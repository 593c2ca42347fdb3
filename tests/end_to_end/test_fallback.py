"""The provider's server is killed in the middle of an answer, and the visitor gets one all the same."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from config.embedded.ports import any_free
from config.env import BASE_DIR
from tests.end_to_end.chats import EVERY_CHAT, is_answered, open_chats, send
from tests.end_to_end.conftest import SCRIPTED
from tests.servers import up

pytestmark = pytest.mark.browser


@contextmanager
def _model_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tests.llm.servers.play"]
    with subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
def page(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, static_files: None
) -> Iterator[tuple[Page, subprocess.Popen[str]]]:
    """A visitor of a site whose first provider can be killed, and that provider's process."""
    with _model_server() as (model, address):
        settings = SCRIPTED | {"LLM_CHAT": "ollama,scripted", "LLM_OLLAMA_URL": address, "LLM_SUMMARY": "scripted"}
        folder = tmp_path_factory.mktemp("fallback") / "data"
        with up(folder, settings, "--port", str(any_free())) as system:
            context = browser.new_context(base_url=system.wait_for_url())
            yield context.new_page(), model
            context.close()


def _until_it_is_being_answered(visitor: Page, message_id: str) -> None:
    """Wait until the run log has text of the answer, which the page of this chat does not show before the end."""
    for _ in range(200):
        state = visitor.request.get(f"/api/check-answer/?message_id={message_id}").json()
        if state["status"] == "generating":
            # The model's server writes ten words a second.
            return visitor.wait_for_timeout(1_000)
        visitor.wait_for_timeout(100)
    raise AssertionError("no worker took the question")


@EVERY_CHAT
def test_killing_the_models_server_in_the_middle_of_an_answer_brings_the_fallback(
    page: tuple[Page, subprocess.Popen[str]], chat: str
) -> None:
    visitor, model = page
    open_chats(visitor)
    exchange = send(visitor, chat, "What is an outbox?")
    if chat == "ws-chat":
        expect(exchange.locator('[data-part="answer"]')).to_contain_text("word3", timeout=20_000)
    else:
        (question,) = visitor.request.get("/api/chat/history/").json()["messages"]
        _until_it_is_being_answered(visitor, question["message_id"])
    model.kill()
    is_answered(exchange)
    answer = exchange.locator('[data-part="answer"]')
    expect(answer).to_contain_text("You said: What is an outbox?")
    expect(answer).not_to_contain_text("word")
    expect(exchange.locator('[data-part="footnote"]')).to_contain_text("scripted · script · fallback")
    # The next question finds nobody at that address, and is answered by the fallback from the beginning.
    second = send(visitor, chat, "And again?")
    is_answered(second)
    expect(second.locator('[data-part="footnote"]')).to_contain_text("fallback")
