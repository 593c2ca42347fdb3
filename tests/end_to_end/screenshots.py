"""Takes the README's pictures: `python -m tests.end_to_end.screenshots [--scripted] [FOLDER]` (`make screenshots`).

Starts the whole system in a temporary folder with the local model, uses the pages as a visitor and an operator would,
and writes PNG files to FOLDER, by default `docs/screenshots`.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from config.embedded.ports import any_free
from config.env import BASE_DIR
from tests.end_to_end.admin import open_failed_question, settle
from tests.end_to_end.chats import bring_up
from tests.end_to_end.conftest import CHROMIUM_ARGUMENTS, SCRIPTED, enter, find_chromium, make_operator
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
        operator = make_operator(system)
        for look, scheme, size in (("", "light", WIDE), ("-dark", "dark", WIDE), ("-phone", "light", PHONE)):

            def keep(page: Page, name: str, look: str = look, *, full_page: bool = True) -> None:
                page.screenshot(path=arguments.folder / f"{name}{look}.png", full_page=full_page)

            with _page(browser, site, color_scheme=scheme, viewport=size, is_mobile=size is PHONE) as page:
                about(page)
                keep(page, "about", full_page=size is PHONE)
                open_timelines(page)
                keep(page, "about-timeline")
                explain_and_refuse(page)
                keep(page, "about-explained")
                compare(page)
                keep(page, "compare")
                propose(page, sign_in.group())
                keep(page, "data-agent-proposal")
                approve(page)
                keep(page, "data-agent-answer")
            with _page(browser, site, color_scheme=scheme, viewport=size, locale="de") as page:
                page.goto("/about/")
                keep(page, "about-german")
            with _page(browser, site, color_scheme=scheme, viewport=size, java_script_enabled=False) as page:
                ask_without_scripts(page)
                keep(page, "about-without-scripts")
            with _page(browser, site, color_scheme=scheme, viewport=size, is_mobile=size is PHONE) as page:
                enter(page, operator, to="/admin/operations/")
                keep(page, "operations")
                settle(page, "Send back…")
                keep(page, "dead-letter-sent-back")
                open_failed_question(page)
                page.get_by_role("button", name="Ask again…").click()
                page.get_by_role("heading", name="Ask again?").wait_for()
                keep(page, "question-asked-again")
        browser.close()
    for picture in sorted(arguments.folder.glob("*.png")):
        print(picture)


@contextmanager
def _page(browser: Browser, site: str, **options: Any) -> Iterator[Page]:
    context = browser.new_context(base_url=site, **options)
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
        bring_up(page, chat)
        exchange.locator('[data-part="timeline"] summary').wait_for()
    _let_go(page)


def open_timelines(page: Page) -> None:
    """Have both timelines drawn."""
    for chat in QUESTIONS:
        bring_up(page, chat)
        page.locator(f'#{chat} [data-part="timeline"] summary').last.click()
        page.locator(f"#{chat} figure").last.scroll_into_view_if_needed()
    _let_go(page)


def compare(page: Page) -> None:
    """Have a question asked in four ways, below which the site's curves are those of before."""
    page.goto("/compare/")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("button", name="Compare")).to_be_enabled(timeout=4 * PATIENCE)
    page.locator("figure.timeline").first.wait_for()
    _let_go(page)


def ask_without_scripts(page: Page) -> None:
    """Have the Kafka chat answer a browser that runs no scripts."""
    page.goto("/about/")
    page.locator("#kafka-chat-text").fill(QUESTIONS["kafka-chat"])
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#kafka-chat .exchange").last).to_have_attribute("data-state", "answered", timeout=PATIENCE)


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
    # A chart is fetched when it comes into sight.
    for chart in page.locator(".chart img").all():
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_js_property("complete", True)
    _let_go(page)


def _let_go(page: Page) -> None:
    # A focused field looks like one with an error to who does not know.
    page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    main()
