"""Takes the README's pictures: `python -m tests.end_to_end.screenshots [--scripted] [FOLDER]` (`make screenshots`).

Starts the whole system in a temporary folder with the local model, uses the pages as a visitor would, and writes PNG
files to FOLDER, by default `docs/screenshots`.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from config.embedded.ports import any_free
from config.env import BASE_DIR
from tests.end_to_end.chats import bring_up
from tests.end_to_end.conftest import CHROMIUM_ARGUMENTS, SCRIPTED, find_chromium
from tests.servers import forget_settings, up

FOLDER = BASE_DIR / "docs" / "screenshots"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# Milliseconds; a small model on a busy machine takes its time.
PATIENCE = 180_000

QUESTIONS = {
    "kafka-chat": "In one sentence, what is a message queue good for?",
    "ws-chat": "In one sentence, what is a WebSocket?",
}


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Takes the README's pictures from the running system.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument("--scripted", action="store_true", help="with the scripted provider instead of the local model")
    arguments = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        parser.error("there is no chromium on the PATH (on Debian: apt-get install chromium)")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    forget_settings()
    with (
        tempfile.TemporaryDirectory() as data,
        up(Path(data) / "data", SCRIPTED if arguments.scripted else {}, "--port", str(any_free())) as system,
        sync_playwright() as playwright,
    ):
        site = system.wait_for_url()
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        sign_in = re.search(rf"{site}/demo/\S+", system.output)
        assert sign_in is not None
        for look, scheme, size in (("", "light", WIDE), ("-dark", "dark", WIDE), ("-phone", "light", PHONE)):
            with _page(browser, site, scheme, size) as page:
                about(page)
                page.screenshot(path=arguments.folder / f"about{look}.png", full_page=size is PHONE)
                explain_and_refuse(page)
                page.screenshot(path=arguments.folder / f"about-explained{look}.png", full_page=True)
                propose(page, sign_in.group())
                page.screenshot(path=arguments.folder / f"data-agent-proposal{look}.png", full_page=True)
                approve(page)
                page.screenshot(path=arguments.folder / f"data-agent-answer{look}.png", full_page=True)
        browser.close()
    for picture in sorted(arguments.folder.glob("*.png")):
        print(picture)


@contextmanager
def _page(browser: Browser, site: str, scheme: str, size: dict[str, int]) -> Iterator[Page]:
    context = browser.new_context(base_url=site, color_scheme=scheme, viewport=size, is_mobile=size is PHONE)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def about(page: Page) -> None:
    """Have both chats answer."""
    page.goto("/about/")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")
    for chat, question in QUESTIONS.items():
        bring_up(page, chat)
        page.fill(f"#{chat}-text", question)
        page.press(f"#{chat}-text", "Enter")
    for chat in QUESTIONS:
        exchange = page.locator(f"#{chat} .exchange").last
        expect(exchange).to_have_attribute("data-state", "answered", timeout=PATIENCE)
    _let_go(page)


def explain_and_refuse(page: Page) -> None:
    """Open what explains each chat, have an answer rated, and send nothing."""
    for chat in QUESTIONS:
        bring_up(page, chat)
        page.locator(f"#{chat} .explained summary").click()
        page.locator(f'#{chat} [data-part="down"]').last.click()
        page.locator(f'#{chat} [name="comment"]').last.wait_for()
        page.locator(f'#{chat} [data-part="send"]').click()
        page.locator(f'#{chat} [data-part="refusal"]').wait_for()
    _let_go(page)


def propose(page: Page, sign_in: str) -> None:
    """Have a query proposed."""
    page.goto(sign_in)
    page.goto("/data-agent/?new")
    expect(page.locator('#data-agent [data-part="connection"]')).to_have_attribute("data-tone", "good")
    page.fill("#data-agent-text", "Which 10 customers spent the most money?")
    page.press("#data-agent-text", "Enter")
    page.locator('.step [data-part="approve"]').wait_for()
    _let_go(page)


def approve(page: Page) -> None:
    """Have the query run."""
    page.locator('.step [data-part="approve"]').click()
    expect(page.locator('.step [data-part="answer"]')).to_be_visible(timeout=PATIENCE)
    _let_go(page)


def _let_go(page: Page) -> None:
    # A focused field looks like one with an error to who does not know.
    page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    main()
