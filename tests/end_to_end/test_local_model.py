"""Both chats with the model that `make run` brings along. What it says is its own affair; that it answers is ours."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.servers import Up

pytestmark = [pytest.mark.browser, pytest.mark.local_model, pytest.mark.timeout(240)]


@pytest.mark.parametrize("chat", ["kafka-chat", "ws-chat"])
def test_the_local_model_answers(browser: Browser, running_local_model: Up, chat: str) -> None:
    context = browser.new_context(base_url=running_local_model.wait_for_url())
    page = context.new_page()
    page.goto("/about/")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")
    field = page.locator(f"#{chat}-text")
    field.fill("Write one short sentence about the sea.")
    field.press("Enter")
    exchange = page.locator(f"#{chat} .exchange").last
    expect(exchange).to_have_attribute("data-state", "answered", timeout=60_000)
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile(r"\w+ \w+"))
    expect(exchange.locator('[data-part="footnote"]')).to_contain_text("local · ")
    context.close()
