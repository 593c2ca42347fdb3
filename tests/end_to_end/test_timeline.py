"""The timeline under an answer, as it was measured from this browser's send to its sight of the end."""

import re
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.chats import CHATS, EVERY_CHAT, is_answered, open_chats, send
from tests.end_to_end.figures import DURATION, milliseconds, row

pytestmark = pytest.mark.browser

_MARKS = ("accepted", "picked up", "first token", "first text seen", "last token", "stored", "end seen")


def _line(exchange: Locator) -> Locator:
    return exchange.locator('[data-part="timeline"] summary')


@EVERY_CHAT
def test_an_answer_says_how_it_came_and_draws_it_on_demand(page: Page, chat: str) -> None:
    open_chats(page)
    exchange = send(page, chat, "What is an outbox?")
    is_answered(exchange)
    statements = {"kafka-chat": r"\d+ reads?, [\d.]+ writes", "ws-chat": "0 reads, 1 write"}[chat]
    line = re.compile(rf"^first word {DURATION} · done {DURATION} · {statements} · scripted$")
    for _ in range(2):
        expect(_line(exchange)).to_have_text(line, timeout=15_000)
        _line(exchange).click()
        figure = exchange.get_by_role("figure")
        expect(figure.get_by_role("img")).to_have_accessible_name(re.compile(rf"chat, .*: first word {DURATION}"))
        for name in _MARKS:
            expect(row(exchange.get_by_role("figure"), name)).to_contain_text(re.compile(DURATION))
        trace = row(exchange.get_by_role("figure"), "trace").locator("code").inner_text()
        assert UUID(trace) == UUID(exchange.get_attribute("data-trace"))
        page.reload()


def test_an_answer_survives_a_connection_that_is_dropped_and_its_timeline_counts_that(page: Page) -> None:
    open_chats(page)
    exchanges = {chat: send(page, chat, "scene:long please") for chat in CHATS}
    expect(exchanges["ws-chat"].locator('[data-part="answer"]')).to_contain_text("w0")
    for chat in CHATS:
        page.locator(f"#{chat}").get_by_role("button", name="Drop my connection").click()
    expect(page.locator('#kafka-chat [data-part="connection"]')).to_have_text(re.compile("^You dropped the connection"))
    for exchange in exchanges.values():
        is_answered(exchange)
        expect(exchange.locator('[data-part="answer"]')).to_have_text(" ".join(f"w{number}" for number in range(40)))
        expect(_line(exchange)).to_have_text(re.compile(r"· \d+ reconnects? ·"), timeout=15_000)
    page.locator("#kafka-chat").get_by_role("button", name="Drop my connection").click()
    expect(page.locator('#kafka-chat [data-part="connection"]')).to_have_text(re.compile("^No connection is held"))


def test_a_page_that_is_loaded_again_in_mid_answer_measures_on(page: Page) -> None:
    open_chats(page)
    for chat in CHATS:
        send(page, chat, "scene:long please")
    expect(page.locator('#ws-chat [data-part="answer"]')).to_contain_text("w0")
    page.reload()
    for chat in CHATS:
        exchange = page.locator(f"#{chat} .exchange").last
        is_answered(exchange)
        line = re.compile(rf"^first word {DURATION} · done {DURATION} · .* · [1-9]\d* reconnects? · scripted$")
        expect(_line(exchange)).to_have_text(line, timeout=15_000)
        _line(exchange).click()
        for name in _MARKS:
            expect(row(exchange.get_by_role("figure"), name)).to_contain_text(re.compile(DURATION))
    # What was shown before stays the first sight.
    first, end = (row(page.locator("#ws-chat figure"), name).locator("td") for name in ("first text seen", "end seen"))
    assert milliseconds(first.inner_text()) < milliseconds(end.inner_text())
