"""Questions that one query does not answer: several steps, a question back, a repair, instructions in the data."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.workspace import ask, expect_state, part, steps

pytestmark = pytest.mark.browser


def test_a_question_of_two_steps_is_approved_twice_and_its_numbers_lead_to_their_rows(analyst: Page) -> None:
    first = ask(analyst, "agent:steps")
    part(first, "approve").click()
    expect_state(first, "continued")
    expect(part(first, "place")).to_have_text("Step 1 of at most 7")
    expect(part(first, "result")).to_be_visible()
    expect(steps(analyst)).to_have_count(2)
    second = steps(analyst).nth(1)
    expect_state(second, "proposed")
    expect(part(second, "place")).to_have_text("Step 2 of at most 7")
    expect(part(second, "question")).to_be_hidden()
    expect(part(second, "card")).to_be_focused()
    part(second, "approve").click()
    expect_state(second, "answered")

    number = part(second, "answer").locator(".trace").first
    expect(number).to_have_attribute("title", re.compile(r"^From row \d+ of the result$"))
    row = int(re.sub(r"\D", "", str(number.get_attribute("title")))) - 1
    number.click()
    pointed = analyst.locator("tr.pointed")
    expect(pointed).to_have_count(1)
    expect(pointed).to_be_focused()
    expect(pointed).to_be_in_viewport()
    assert pointed.evaluate("line => line.sectionRowIndex") == row


def test_the_model_may_ask_back_and_the_reply_leads_on(analyst: Page) -> None:
    step = ask(analyst, "agent:asks")
    expect_state(step, "asking")
    expect(part(step, "clarification")).to_have_text("Of which plan?")
    expect(part(step, "actions")).to_be_hidden()
    part(step, "reply").fill("pro")
    part(step, "reply").press("Enter")
    expect_state(step, "replied")
    expect(part(step, "replied")).to_have_text("pro")
    following = steps(analyst).nth(1)
    expect_state(following, "proposed")
    expect(part(following, "sql")).to_have_value(re.compile("plan = 'pro'"))


def test_a_query_that_fails_brings_another_one_and_can_be_asked_again_where_it_does_not(analyst: Page) -> None:
    step = ask(analyst, "agent:zero")
    part(step, "approve").click()
    expect_state(step, "failed")
    expect(part(step, "error")).to_contain_text("division by zero")
    expect(steps(analyst)).to_have_count(2, timeout=20_000)
    expect(part(step, "after-failure")).to_be_hidden()
    following = steps(analyst).nth(1)
    part(following, "sql").fill("SELECT 1 / (count(*) - count(*)) AS share FROM analytics_users")
    part(following, "check").click()
    part(following, "approve").click()
    expect_state(following, "failed")
    part(following, "again").click()
    expect(analyst.locator("#data-agent-text")).to_have_value("agent:zero")
    expect(analyst.locator("#data-agent-text")).to_be_focused()
