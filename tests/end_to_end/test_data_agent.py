import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.servers import Up

pytestmark = pytest.mark.browser

COUNTRIES = "agent:countries"


@pytest.fixture
def analyst(page: Page, running: Up) -> Page:
    """A page of a demo analyst in a new conversation, reached by the link in the terminal."""
    link = re.search(r"http://\S+/demo/\S+/", running.output)
    assert link is not None, running.output
    page.goto(link.group())
    expect(page).to_have_url(re.compile("/data-agent/$"))
    page.goto("/data-agent/?new")
    expect(page.locator('#data-agent [data-part="connection"]')).to_have_text("Connected")
    return page


def _ask(page: Page, text: str) -> Locator:
    """Ask a question; return the step that it began."""
    steps = page.locator("#data-agent .step")
    before = steps.count()
    page.locator("#data-agent-text").fill(text)
    page.locator("#data-agent-text").press("Enter")
    expect(steps).to_have_count(before + 1, timeout=20_000)
    return steps.last


def _part(step: Locator, name: str) -> Locator:
    return step.locator(f'[data-part="{name}"]')


def _is(step: Locator, state: str) -> None:
    expect(step).to_have_attribute("data-state", state, timeout=20_000)


def test_nothing_runs_before_the_approval_and_a_reload_shows_the_same(analyst: Page) -> None:
    step = _ask(analyst, COUNTRIES)
    _is(step, "proposed")
    expect(_part(step, "sql")).to_have_value(re.compile(r"^SELECT country,\n.*LIMIT 100$", re.DOTALL))
    expect(_part(step, "explanation")).to_have_text("Counts the customers of each country.")
    expect(_part(step, "facts")).to_contain_text("analytics_users (country)")
    expect(_part(step, "facts")).to_contain_text("LIMIT 100 was added.")
    expect(_part(step, "result")).to_be_hidden()
    analyst.reload()
    step = analyst.locator("#data-agent .step").last
    _is(step, "proposed")

    _part(step, "approve").click()
    _is(step, "answered")
    for _ in range(2):
        expect(_part(step, "answer")).to_have_text("Most customers live in the country of the first row.")
        expect(_part(step, "footnote")).to_contain_text("the table below is the source")
        expect(step.locator("caption")).to_have_text(re.compile(r"^15 rows in \d+ ms\.$"))
        expect(step.locator("tbody tr").first.locator("td").first).to_have_text("United States")
        expect(step.locator("tbody tr").first.locator("td").last).to_have_class("number")
        analyst.reload()


def test_the_keyboard_is_enough(analyst: Page) -> None:
    step = _ask(analyst, COUNTRIES)
    expect(_part(step, "card")).to_be_focused()
    analyst.keyboard.press("Control+Enter")
    _is(step, "answered")

    step = _ask(analyst, COUNTRIES)
    analyst.keyboard.press("Escape")
    expect(_part(step, "reason")).to_be_focused()
    analyst.keyboard.press("Escape")
    expect(_part(step, "reason")).to_be_hidden()
    analyst.keyboard.press("Escape")
    analyst.keyboard.press("Enter")
    _is(step, "rejected")
    expect(_part(step, "sql")).to_be_hidden()


def test_an_edit_is_checked_before_it_can_be_approved(analyst: Page) -> None:
    step = _ask(analyst, COUNTRIES)
    _part(step, "sql").fill("SELECT * FROM auth_user")
    expect(_part(step, "approve")).to_be_hidden()
    _part(step, "check").click()
    _is(step, "blocked")
    expect(_part(step, "reasons")).to_contain_text("The table 'auth_user' may not be read.")
    expect(_part(step, "approve")).to_be_hidden()

    _part(step, "sql").fill("SELECT plan, count(*) AS customers FROM analytics_users GROUP BY plan LIMIT 9")
    _part(step, "check").click()
    _is(step, "proposed")
    expect(_part(step, "facts")).to_contain_text("Written by")
    _part(step, "approve").click()
    _is(step, "answered")
    expect(step.locator("tbody tr")).to_have_count(3)


def test_a_rejection_with_a_reason_brings_another_query_and_it_can_be_skipped(analyst: Page) -> None:
    first = _ask(analyst, f"{COUNTRIES} customers in each country")
    _part(first, "reject").click()
    _part(first, "reason").fill("Not by country")
    _part(first, "reason").press("Enter")
    steps = analyst.locator("#data-agent .step")
    expect(steps).to_have_count(2, timeout=20_000)
    _is(steps.first, "rejected")
    expect(_part(steps.first, "facts")).to_contain_text("Not by country")
    expect(_part(steps.last, "note")).to_contain_text("that staff verified")
    _part(steps.last, "skip").click()
    _is(steps.last, "skipped")


def test_a_model_that_writes_no_usable_query_is_replaced_by_a_verified_question(analyst: Page) -> None:
    step = _ask(analyst, "agent:delete How many customers are on each plan?")
    expect(_part(step, "note")).to_contain_text("Only SELECT is allowed, not delete.")
    expect(_part(step, "note")).to_contain_text("“How many customers are on each plan?”")
    _part(step, "approve").click()
    _is(step, "answered")


def test_a_question_stays_when_it_is_stopped_empty_or_fails(analyst: Page) -> None:
    field = analyst.locator("#data-agent-text")
    refusal = analyst.locator('#data-agent [data-part="refusal"]')
    analyst.locator('#data-agent [data-part="send"]').click()
    expect(refusal).to_have_text("The message is empty. Please write something.")

    field.fill("agent:slow")
    field.press("Enter")
    expect(analyst.locator('#data-agent > form [data-part="progress"]')).to_have_text("Looking for a query…")
    analyst.locator('#data-agent [data-part="stop"]').click()
    expect(refusal).to_contain_text("Stopped.")
    expect(field).to_have_value("agent:slow")
    _is(_ask(analyst, COUNTRIES), "proposed")


def test_texts_of_people_and_models_are_shown_as_text(analyst: Page) -> None:
    hostile = "<img src=x onerror=alert(1)> agent:countries"
    step = _ask(analyst, hostile)
    expect(_part(step, "question")).to_have_text(hostile)
    _part(step, "sql").fill("SELECT '<b>bold</b>' AS \"<i>x</i>\", name FROM analytics_users LIMIT 1")
    _part(step, "check").click()
    _part(step, "approve").click()
    _is(step, "answered")
    expect(step.locator("th").first).to_have_text("<i>x</i>")
    expect(step.locator("td").first).to_have_text("<b>bold</b>")
    expect(analyst.locator(".step img, .step b")).to_have_count(0)


def test_the_page_fits_a_phone(analyst: Page) -> None:
    analyst.set_viewport_size({"width": 360, "height": 740})
    step = _ask(analyst, COUNTRIES)
    _part(step, "approve").click()
    _is(step, "answered")
    assert analyst.evaluate("document.documentElement.scrollWidth") <= 360


def test_who_has_not_signed_in_is_told_how(browser: Browser, triptych: str) -> None:
    context = browser.new_context(base_url=triptych)
    page = context.new_page()
    response = page.goto("/data-agent/")
    assert response is not None
    assert response.status == 403
    expect(page.locator("main")).to_contain_text("open the sign-in link that make run has printed")
    context.close()


@pytest.mark.local_model
@pytest.mark.timeout(240)
def test_with_the_local_model_a_question_ends_in_a_table(browser: Browser, running_local_model: Up) -> None:
    site = running_local_model.wait_for_url()
    link = re.search(r"http://\S+/demo/\S+/", running_local_model.output)
    assert link is not None, running_local_model.output
    context = browser.new_context(base_url=site)
    page = context.new_page()
    page.goto(link.group())
    expect(page.locator('#data-agent [data-part="connection"]')).to_have_text("Connected")
    page.locator("#data-agent-text").fill("How many customers are there in each country?")
    page.locator("#data-agent-text").press("Enter")
    step = page.locator("#data-agent .step").last
    # The model's own query or, where that cannot be used, the verified one: it waits for a person either way.
    expect(step).to_have_attribute("data-state", "proposed", timeout=120_000)
    expect(_part(step, "result")).to_be_hidden()
    _part(step, "approve").click()
    expect(step).to_have_attribute("data-state", "answered", timeout=60_000)
    expect(step.locator("tbody tr").first).to_be_visible()
    expect(_part(step, "answer")).to_have_text(re.compile(r"\w+"))
    context.close()
