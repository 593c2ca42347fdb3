import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.end_to_end.chats import CHATS, EVERY_CHAT, is_answered, open_chats, send

pytestmark = pytest.mark.browser


@EVERY_CHAT
def test_a_question_is_answered_and_is_there_after_a_reload(page: Page, chat: str) -> None:
    open_chats(page)
    exchange = send(page, chat, "What is an outbox?")
    is_answered(exchange)
    for _ in range(2):
        expect(exchange.locator('[data-part="question"]')).to_have_text("What is an outbox?")
        expect(exchange.locator('[data-part="answer"]')).to_contain_text("You said: What is an outbox?")
        expect(exchange.locator('[data-part="footnote"]')).to_have_text(
            re.compile(r"^scripted · script · first token \d.* · \d.* in all$")
        )
        expect(page.locator(f"#{chat}-text")).to_have_value("")
        page.reload()
    expect(page.locator(f"#{chat} .exchange")).to_have_count(1)


def test_the_kafka_chat_says_that_it_works_on_it(page: Page) -> None:
    open_chats(page)
    exchange = send(page, "kafka-chat", "scene:slow please")
    expect(exchange).to_have_attribute("data-state", "pending")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("Processing…|A worker is answering…"))
    page.reload()
    exchange = page.locator("#kafka-chat .exchange").last
    is_answered(exchange)
    expect(exchange.locator('[data-part="answer"]')).to_have_text("one two three four five six seven eight nine ten")


def test_the_kafka_chat_stops_on_demand_and_goes_on_with_the_next_question(page: Page) -> None:
    open_chats(page)
    stop = page.locator('#kafka-chat [data-part="stop"]')
    expect(stop).to_be_hidden()
    for text in ("scene:lasting please", "And now?"):
        send(page, "kafka-chat", text)
    exchange, following = page.locator("#kafka-chat .exchange").all()
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("Processing…|A worker is answering…"))
    page.wait_for_timeout(800)
    stop.click()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(exchange.locator('[data-part="answer"]')).not_to_contain_text("w59")
    is_answered(following)
    expect(stop).to_be_hidden()
    expect(page.locator('#kafka-chat [data-part="connection"]')).to_have_text("Ready")
    page.reload()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(exchange.locator('[data-part="note"]')).to_have_text("Stopped by you.")


def test_many_open_questions_are_in_nobody_s_way(page: Page) -> None:
    open_chats(page)
    for number in range(8):
        send(page, "kafka-chat", f"question {number}, scene:lasting")
    for exchange in page.locator("#kafka-chat .exchange").all():
        expect(exchange).not_to_have_attribute("data-state", "answered")
        page.locator('#kafka-chat [data-part="stop"]').click()
        expect(exchange).to_have_attribute("data-state", "stopped")


@EVERY_CHAT
def test_an_empty_message_is_refused_in_words(page: Page, chat: str) -> None:
    open_chats(page)
    page.locator(f'#{chat} [data-part="send"]').click()
    expect(page.locator(f'#{chat} [data-part="refusal"]')).to_have_text("The message is empty. Please write something.")
    page.locator(f"#{chat}-text").fill("a" * 4001)
    expect(page.locator(f'#{chat} [data-part="counter"]')).to_have_text("4,001 of 4,000")
    page.locator(f"#{chat}-text").press("Enter")
    expect(page.locator(f'#{chat} [data-part="refusal"]')).to_contain_text("more than 4,000 characters")
    expect(page.locator(f"#{chat}-text")).to_have_value("a" * 4001)
    expect(page.locator(f"#{chat} .exchange")).to_have_count(0)


@EVERY_CHAT
def test_markup_is_shown_as_text(page: Page, chat: str) -> None:
    hostile = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    open_chats(page)
    exchange = send(page, chat, hostile)
    is_answered(exchange)
    for _ in range(2):
        expect(exchange.locator('[data-part="question"]')).to_have_text(hostile)
        expect(exchange.locator('[data-part="answer"]')).to_contain_text("<script>")
        expect(exchange.locator("img, script")).to_have_count(0)
        expect(page).to_have_title("About · Triptych")
        page.reload()


@EVERY_CHAT
def test_a_model_that_fails_is_said_with_what_to_do(page: Page, chat: str) -> None:
    open_chats(page)
    exchange = send(page, chat, "scene:cut please")
    expect(exchange).to_have_attribute("data-state", "failed", timeout=20_000)
    for _ in range(2):
        expect(exchange.locator('[data-part="note"]')).to_have_text("The answer broke off. Please ask again.")
        page.reload()


@EVERY_CHAT
def test_a_draft_survives_a_reload_and_shift_enter_makes_a_line(page: Page, chat: str) -> None:
    open_chats(page)
    field = page.locator(f"#{chat}-text")
    field.press_sequentially("two")
    field.press("Shift+Enter")
    field.press_sequentially("lines")
    expect(field).to_have_value("two\nlines")
    page.reload()
    expect(field).to_have_value("two\nlines")
    expect(page.locator(f"#{chat} .exchange")).to_have_count(0)


def test_a_server_that_cannot_be_reached_costs_no_text(page_may_complain: Page, visit: BrowserContext) -> None:
    page = page_may_complain
    open_chats(page)
    visit.set_offline(True)
    field = page.locator("#kafka-chat-text")
    field.fill("Are you there?")
    field.press("Enter")
    expect(page.locator('#kafka-chat [data-part="refusal"]')).to_contain_text("cannot be reached")
    expect(field).to_have_value("Are you there?")
    visit.set_offline(False)
    field.press("Enter")
    is_answered(page.locator("#kafka-chat .exchange").last)
    expect(field).to_have_value("")


@EVERY_CHAT
def test_suggestions_fill_the_field(page: Page, chat: str) -> None:
    open_chats(page)
    suggestion = page.locator(f'#{chat} [data-part="suggestion"]').first
    suggestion.click()
    expect(page.locator(f"#{chat}-text")).to_have_value(suggestion.inner_text())
    expect(page.locator(f"#{chat}-text")).to_be_focused()


def test_the_page_fits_a_small_phone_and_does_not_grow_with_the_conversation(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    open_chats(page)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    before = page.evaluate(size)
    assert before[0] == 360
    for chat in CHATS * 2:
        is_answered(send(page, chat, "wide " + "x" * 1000))
    assert page.evaluate(size) == before


def test_history_belongs_to_one_visitor(page: Page, visit: BrowserContext) -> None:
    open_chats(page)
    for chat in CHATS:
        is_answered(send(page, chat, "Only mine"))
    visit.clear_cookies()
    page.reload()
    expect(page.locator(".exchange")).to_have_count(0)
