"""What a visitor does with the chats of the about page."""

import pytest
from playwright.sync_api import Locator, Page, expect

CHATS = ("kafka-chat", "ws-chat")
EVERY_CHAT = pytest.mark.parametrize("chat", CHATS)
EVERY_SIZE = pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
CONNECTION = '#ws-chat [data-part="connection"]'


def open_chats(page: Page) -> None:
    """Open the page, and wait until both chats may be used."""
    page.goto("/about/")
    expect(page.locator(CONNECTION)).to_have_text("Connected")


def bring_up(page: Page, chat: str) -> None:
    """Choose a chat's tab, where there are tabs."""
    tab = page.locator(f"#{chat}-tab")
    if tab.is_visible():
        tab.click()


def send(page: Page, chat: str, text: str) -> Locator:
    """Send a message; return the exchange that it began."""
    bring_up(page, chat)
    exchanges = page.locator(f"#{chat} .exchange")
    before = exchanges.count()
    field = page.locator(f"#{chat}-text")
    field.fill(text)
    field.press("Enter")
    expect(exchanges).to_have_count(before + 1)
    return exchanges.last


def is_answered(exchange: Locator) -> None:
    """Wait for the answer."""
    expect(exchange).to_have_attribute("data-state", "answered", timeout=20_000)
