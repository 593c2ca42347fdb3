"""One question through all doors of the site, as the page that compares them asks and draws it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.accessibility import everything_wrong
from tests.end_to_end.figures import milliseconds, row

pytestmark = pytest.mark.browser

DOORS = ("held", "plain", "websocket", "sse")
# Milliseconds for four answers, one after the other.
PATIENCE = 60_000


def _state(page: Page, door: str) -> Locator:
    return page.locator(f'[data-door="{door}"] [data-part="state"]')


def _begin(page: Page, question: str, order: str = "one after the other") -> None:
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_label(order).check()
    page.get_by_role("button", name="Compare").click()


def _drawing(page: Page) -> Locator:
    return page.locator('[data-part="drawing"]').get_by_role("figure")


def _cells(page: Page, name: str) -> list[str]:
    return row(_drawing(page), name).get_by_role("cell").all_inner_texts()


def test_four_ways_are_asked_in_turn_and_drawn_on_one_scale(page: Page) -> None:
    page.goto("/compare/")
    page.get_by_label("Question", exact=True).fill("  ")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_have_text("The question is empty. Please write something.")
    _begin(page, "scene:slow please")
    expect(_state(page, "held")).to_have_text("Asked, waiting for the answer…")
    expect(_state(page, "sse")).to_have_text("Not asked yet")
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    expect(_drawing(page)).to_be_visible(timeout=PATIENCE)
    for door in DOORS:
        expect(_state(page, door)).to_have_text("Done")
        expect(page.locator(f'[data-door="{door}"] [data-part="answer"]')).to_contain_text("nine ten")
    _, plain, websocket, _ = _cells(page, "database")
    assert websocket == "0 reads, 1 write"
    # The answer takes 2 s, and the row is read every 500 ms.
    assert int(plain.split()[0]) >= 2
    seen = [milliseconds(text) for text in _cells(page, "first text seen")]
    ended = [milliseconds(text) for text in _cells(page, "end seen")]
    # Who streams shows the first word before the end; who polls shows nothing before it.
    assert [first < end for first, end in zip(seen, ended, strict=True)] == [False, False, True, True]
    expect(page.get_by_role("button", name="Compare")).to_be_enabled()
    page.reload()
    curves = page.get_by_role("figure").filter(has_text="Completion, p95").get_by_role("img")
    expect(curves).to_have_accessible_name(re.compile("In all: .*WebSocket chat, WebSocket [0-9.]+ s"))
    assert everything_wrong(page) == []
    ways = page.get_by_role("region", name="Statistics in all")
    for way in ("Kafka chat, held polling", "Kafka chat, plain polling", "Kafka chat, server-sent events"):
        expect(ways.get_by_role("rowheader", name=way)).to_be_visible()
    expect(ways.get_by_role("rowheader", name="WebSocket chat, WebSocket")).to_be_visible()


def test_a_stop_ends_what_is_written_and_asks_nobody_else(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/compare/")
    _begin(page, "scene:long please")
    expect(_state(page, "held")).to_have_text("Asked, waiting for the answer…")
    page.get_by_role("button", name="Stop").click()
    expect(_state(page, "held")).to_have_text("Stopped", timeout=PATIENCE)
    for door in DOORS[1:]:
        expect(_state(page, door)).to_have_text("Not asked, because you stopped")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_door_that_lets_nobody_in_says_why_and_the_others_answer(page_may_complain: Page) -> None:
    page = page_may_complain
    sentence = "You have asked much. Please wait a minute."
    page.route("**/api/chat/", lambda route: route.fulfill(status=429, json={"error": {"message": sentence}}))
    page.goto("/compare/")
    _begin(page, "scene:slow please", order="together")
    expect(_drawing(page)).to_be_visible(timeout=PATIENCE)
    for door in ("held", "plain", "sse"):
        expect(_state(page, door)).to_have_text(sentence)
    expect(_state(page, "websocket")).to_have_text("Done")
    assert len(_cells(page, "end seen")) == 1
