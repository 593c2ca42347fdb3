"""The pages of operators and auditors: axe finds nothing on them, large text loses nothing, and nothing moves."""

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end import workspace
from tests.end_to_end.accessibility import everything_wrong
from tests.end_to_end.admin import open_failed_question, settle

pytestmark = pytest.mark.browser

_PAGES = (
    "/admin/",
    "/admin/operations/",
    "/admin/kafka_chat/chatmessage/",
    "/admin/kafka_chat/outboxentry/",
    "/admin/ws_chat/chatmessage/",
    "/admin/llm/call/",
    "/admin/llm/price/",
    "/admin/llm/price/add/",
    "/admin/llm/profile/",
    "/admin/data_agent/auditevent/",
    "/admin/nowhere/",
)


def test_the_admin(operator: Page) -> None:
    found = {}
    for address in _PAGES:
        operator.goto(address)
        found[address] = everything_wrong(operator)
    assert {address: wrong for address, wrong in found.items() if wrong} == {}


def test_dead_letters_and_what_sending_them_back_would_do(operator: Page) -> None:
    for button, heading in (("Send back…", "Send back?"), ("Dismiss…", "Dismiss?")):
        settle(operator, button)
        expect(operator.get_by_role("heading", name=heading)).to_be_visible()
        assert everything_wrong(operator) == []


def test_a_failed_question_and_what_asking_it_again_would_do(operator: Page) -> None:
    open_failed_question(operator)
    expect(operator.get_by_role("button", name="Ask again…")).to_be_visible()
    assert everything_wrong(operator) == []
    operator.get_by_role("button", name="Ask again…").click()
    expect(operator.get_by_role("heading", name="Ask again?")).to_be_visible()
    assert everything_wrong(operator) == []


def test_the_audit_log_with_a_filter_and_an_open_event(operator: Page) -> None:
    operator.goto("/data-agent/?new")
    workspace.connected(operator)
    workspace.expect_state(workspace.ask(operator, workspace.COUNTRIES), "proposed")
    operator.goto("/data-agent/audit/?kind=proposed")
    operator.locator(".audit details summary").first.click()
    assert everything_wrong(operator) == []
