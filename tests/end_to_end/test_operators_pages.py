"""The pages on which operators act: axe finds nothing on them, and large text loses nothing."""

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.accessibility import lost_in_large_text, violations

pytestmark = pytest.mark.browser


def test_dead_letters_and_what_sending_them_back_would_do(operator: Page) -> None:
    for button, heading in (("Send back…", "Send back?"), ("Dismiss…", "Dismiss?")):
        # The page waits for the broker no longer than 2 s, which a busy machine may take.
        for _ in range(20):
            operator.goto("/admin/operations/dead-letters/")
            if operator.get_by_role("button", name=button).is_visible():
                break
        operator.get_by_role("button", name=button).click()
        expect(operator.get_by_role("heading", name=heading)).to_be_visible()
        assert violations(operator) + lost_in_large_text(operator) == []


def test_a_failed_question_and_what_asking_it_again_would_do(operator: Page) -> None:
    operator.goto("/admin/kafka_chat/chatmessage/?status__exact=failed")
    operator.locator("#result_list .field-asked a").first.click()
    expect(operator.get_by_role("button", name="Ask again…")).to_be_visible()
    assert violations(operator) + lost_in_large_text(operator) == []
    operator.get_by_role("button", name="Ask again…").click()
    expect(operator.get_by_role("heading", name="Ask again?")).to_be_visible()
    assert violations(operator) + lost_in_large_text(operator) == []
