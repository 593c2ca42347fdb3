"""The two chats of the about page beside each other: one question for both, and tabs where there is no room."""

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.chats import CHATS, is_answered, open_chats, send

pytestmark = pytest.mark.browser


def test_on_a_phone_the_panels_are_tabs_which_are_remembered(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_chats(page)
    tabs = [page.get_by_role("tab", name=name) for name in ("Kafka chat", "WebSocket chat")]
    panels = [page.locator(f"#{chat}[role=tabpanel]") for chat in CHATS]
    expect(panels[0]).to_be_visible()
    expect(panels[1]).to_be_hidden()
    tabs[0].focus()
    for key, chosen in (("ArrowRight", 1), ("ArrowRight", 0), ("ArrowLeft", 1), ("Home", 0), ("End", 1)):
        page.keyboard.press(key)
        expect(tabs[chosen]).to_be_focused()
        expect(tabs[chosen]).to_have_attribute("aria-selected", "true")
        expect(tabs[1 - chosen]).to_have_attribute("tabindex", "-1")
        expect(panels[chosen]).to_be_visible()
        expect(panels[1 - chosen]).to_be_hidden()
    page.reload()
    expect(panels[1]).to_be_visible()
    # Turned round there is room for both; back again the one with the focus is shown.
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(tabs[0]).to_be_hidden()
    for chat in CHATS:
        expect(page.locator(f"#{chat}:not([role])")).to_be_visible()
    page.locator("#kafka-chat-text").focus()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(panels[0]).to_be_visible()
    expect(page.locator("#kafka-chat-text")).to_be_focused()


def test_a_question_for_both_costs_neither_draft(page: Page) -> None:
    open_chats(page)
    boxes = page.get_by_label("Ask both")
    boxes.first.check()
    expect(boxes.last).to_be_checked()
    page.locator("#ws-chat-text").fill("my draft")
    for chat in CHATS:
        expect(page.locator(f"#{chat} .exchange")).to_have_count(0)
    send(page, "kafka-chat", "scene:slow please")
    for chat in CHATS:
        exchange = page.locator(f"#{chat} .exchange").last
        expect(exchange.locator('[data-part="question"]')).to_have_text("scene:slow please")
    expect(page.locator("#ws-chat-text")).to_have_value("my draft")
    # The WebSocket chat takes one question at a time: what it cannot take is said there, and no draft is touched.
    send(page, "kafka-chat", "And now?")
    refusal = page.locator('#ws-chat [data-part="refusal"]')
    expect(refusal).to_contain_text("The question was not asked here.")
    expect(page.locator("#ws-chat-text")).to_have_value("my draft")
    expect(page.locator("#kafka-chat-text")).to_be_focused()
    for chat, count in zip(CHATS, (2, 1), strict=True):
        is_answered(page.locator(f"#{chat} .exchange").last)
        expect(page.locator(f"#{chat} .exchange")).to_have_count(count)
    page.reload()
    expect(boxes.first).to_be_checked()
    # Without a draft, the refused question becomes it.
    page.locator("#ws-chat-text").fill("")
    send(page, "ws-chat", "scene:slow please")
    expect(page.locator("#kafka-chat .exchange")).to_have_count(3)
    send(page, "kafka-chat", "And then?")
    expect(page.locator("#ws-chat-text")).to_have_value("And then?")
    is_answered(page.locator("#kafka-chat .exchange").last)


def test_who_reads_further_up_is_left_there_and_told_of_new_text(page: Page) -> None:
    open_chats(page)
    log, button = (page.locator(f'#ws-chat [data-part="{name}"]') for name in ("log", "new-text"))
    is_answered(send(page, "ws-chat", "\n".join(["line"] * 30)))
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(button).to_be_hidden()
    log.evaluate("element => { element.scrollTop = 0; }")
    expect(button).to_be_visible()
    assert log.evaluate("element => element.scrollTop") == 0
    button.press("Enter")
    expect(button).to_be_hidden()
    expect(log).to_be_focused()
    is_answered(exchange)
    gap = "element => element.scrollHeight - element.scrollTop - element.clientHeight"
    assert log.evaluate(gap) < 2
    expect(button).to_be_hidden()


def test_a_suggestion_costs_no_draft(page: Page) -> None:
    open_chats(page)
    first, second = page.locator('#kafka-chat [data-part="suggestion"]').all()[:2]
    field = page.locator("#kafka-chat-text")
    first.click()
    second.click()
    expect(field).to_have_value(second.inner_text())
    field.fill("my draft")
    first.click()
    expect(field).to_have_value(f"my draft\n{first.inner_text()}")
