"""The about page with JavaScript switched off: post, wait, read."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.chats import is_answered

pytestmark = pytest.mark.browser


@pytest.fixture
def plain(browser: Browser, triptych: str) -> Iterator[Page]:
    """A page of a new visitor whose browser runs no scripts."""
    context = browser.new_context(base_url=triptych, viewport={"width": 390, "height": 844}, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_a_question_is_sent_waited_for_and_answered(plain: Page) -> None:
    plain.goto("/about/")
    # Playwright's own ways to find text look into no <noscript>.
    expect(plain.locator("#ws-chat noscript p")).to_be_visible()
    # Nothing is offered that does nothing.
    expect(plain.get_by_role("main").get_by_role("button")).to_have_count(1)
    expect(plain.get_by_role("tab")).to_have_count(0)
    field, send = plain.locator("#kafka-chat-text"), plain.get_by_role("button", name="Send")
    send.click()
    expect(plain.get_by_role("alert")).to_have_text("The message is empty. Please write something.")
    for count, question in enumerate(("scene:slow please", "\n".join(["What is an outbox?"] * 20)), start=1):
        field.fill(question)
        send.click()
        exchange = plain.locator("#kafka-chat .exchange").last
        is_answered(exchange)
        expect(plain.locator("#kafka-chat .exchange")).to_have_count(count)
        # The newest answer is in sight.
        expect(exchange.locator('[data-part="answer"]')).to_be_in_viewport()
    expect(plain.locator('meta[http-equiv="refresh"]')).to_have_count(0)


def test_a_failure_is_said(plain: Page) -> None:
    plain.goto("/about/")
    plain.locator("#kafka-chat-text").fill("scene:cut please")
    plain.get_by_role("button", name="Send").click()
    expect(plain.get_by_text("The answer broke off. Please ask again.")).to_be_visible(timeout=20_000)
