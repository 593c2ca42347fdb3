"""The about page of a visitor whose browser speaks German, who may choose English."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.accessibility import violations
from tests.end_to_end.chats import CHATS, CONNECTION, EVERY_SIZE, bring_up, is_answered, send

pytestmark = pytest.mark.browser

_OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture
def german(browser: Browser, triptych: str, size: tuple[int, int]) -> Iterator[Page]:
    """A page of a new visitor; refusals of the server are on its console."""
    width, height = size
    context = browser.new_context(base_url=triptych, viewport={"width": width, "height": height}, locale="de-DE")
    yield context.new_page()
    context.close()


@EVERY_SIZE
def test_the_about_page_speaks_german_until_english_is_chosen(german: Page) -> None:
    german.goto("/about/")
    expect(german.locator("html")).to_have_attribute("lang", "de")
    expect(german.locator("h1")).to_have_text("Eine Frage, drei Architekturen")
    expect(german.locator(CONNECTION)).to_have_text("Verbunden")
    for chat in CHATS:
        exchange = send(german, chat, "What is an outbox?")
        is_answered(exchange)
        expect(exchange.locator('[data-part="footnote"]')).to_have_text(re.compile("erstes Token .* insgesamt$"))
        expect(exchange.locator('[data-part="timeline"] summary')).to_contain_text("fertig", timeout=20_000)
        refusal = german.locator(f'#{chat} [data-part="refusal"]')
        german.locator(f'#{chat} [data-part="send"]').click()
        expect(refusal).to_have_text("Die Nachricht ist leer. Bitte schreiben Sie etwas.")
        field = german.locator(f"#{chat}-text")
        field.fill("a" * 4001)
        expect(german.locator(f'#{chat} [data-part="counter"]')).to_have_text("4.001 von 4.000")
        # The server's own words: as JSON here, in a frame there.
        field.fill("a\u0001b")
        field.press("Enter")
        expect(refusal).to_have_text("Die Nachricht enthält Steuerzeichen. Bitte tippen Sie sie noch einmal.")
        german.locator(f"#{chat} .explained > summary").click()
        assert violations(german) == []
        assert german.evaluate(_OVERFLOW) == 0
    german.locator('.languages [lang="en"]').click()
    expect(german.locator("html")).to_have_attribute("lang", "en")
    expect(german.locator(CONNECTION)).to_have_text("Connected")
    bring_up(german, "kafka-chat")
    expect(german.locator("#kafka-chat .how")).to_contain_text("Your question becomes a row")
    assert german.url.endswith("/about/")
