"""The timeline under an answer, as it was measured from this browser's send to its sight of the end."""

import re
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.chats import CHATS, EVERY_CHAT, is_answered, open_chats, send

pytestmark = pytest.mark.browser

_DURATION = r"[\d.]+ m?s"


def _line(exchange: Locator) -> Locator:
    return exchange.locator('[data-part="timeline"] summary')


@EVERY_CHAT
def test_an_answer_says_how_it_came_and_draws_it_on_demand(page: Page, chat: str) -> None:
    open_chats(page)
    exchange = send(page, chat, "What is an outbox?")
    is_answered(exchange)
    statements = {"kafka-chat": r"\d+ reads?, [\d.]+ writes", "ws-chat": "0 reads, 1 write"}[chat]
    line = re.compile(rf"^first word {_DURATION} · done {_DURATION} · {statements} · scripted$")
    for _ in range(2):
        expect(_line(exchange)).to_have_text(line, timeout=15_000)
        _line(exchange).click()
        figure = exchange.get_by_role("figure")
        expect(figure.get_by_role("img")).to_have_accessible_name(re.compile(rf"chat, .*: first word {_DURATION}"))
        rows = figure.get_by_role("row")
        for name in ("accepted", "picked up", "first token", "first text seen", "last token", "stored", "end seen"):
            expect(rows.filter(has=page.get_by_role("rowheader", name=name, exact=True))).to_contain_text(
                re.compile(_DURATION)
            )
        trace = rows.filter(has=page.get_by_role("rowheader", name="trace")).locator("code").inner_text()
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
