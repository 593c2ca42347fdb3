"""From a question to an answer: proposed, edited, approved, rejected, skipped, stopped."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.workspace import COUNTRIES, answered, ask, expect_state, part, sign_in, steps
from tests.servers import Up

pytestmark = pytest.mark.browser


def test_nothing_runs_before_the_approval_and_a_reload_shows_the_same(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    expect_state(step, "proposed")
    expect(part(step, "sql")).to_have_value(re.compile(r"^SELECT country,\n.*LIMIT 100$", re.DOTALL))
    expect(part(step, "explanation")).to_have_text("Counts the customers of each country.")
    expect(part(step, "facts")).to_contain_text("analytics_users country")
    expect(part(step, "facts")).to_contain_text(
        re.compile(r"about \d+ rows?, .* work for the database \(cost [\d,]+\)")
    )
    expect(part(step, "verdict")).to_contain_text("The guard allows this query. LIMIT 100 was added.")
    expect(part(step, "expiry")).to_have_text("Can be approved for about 5 more minutes")
    expect(part(step, "result")).to_be_hidden()
    analyst.reload()
    step = steps(analyst).last
    expect_state(step, "proposed")
    expect(part(step, "card")).to_be_focused()

    part(step, "approve").click()
    expect_state(step, "answered")
    for _ in range(2):
        expect(part(step, "answer")).to_have_text("The United States have most customers, Germany fewer.")
        expect(part(step, "footnote")).to_contain_text("the tables are the source")
        expect(step.locator("caption")).to_have_text(re.compile(r"^15 rows in \d+ ms\."))
        expect(step.locator("tbody tr").first.locator("td").first).to_have_text("United States")
        expect(step.locator("tbody tr").first.locator("td").last).to_have_class(re.compile("number"))
        analyst.reload()


def test_the_query_has_colours_and_reads_the_same_to_the_letter(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    sql = "SELECT 'it''s', E'\\'', \"Total\", 1.5 -- why\nFROM analytics_users\n  WHERE plan = $$a 'b$$\n"
    part(step, "sql").fill(sql)
    assert part(step, "paint").text_content() == f"{sql} "
    colours = {
        kind: part(step, "paint").locator(f".sql-{kind}").all_text_contents()
        for kind in ("keyword", "string", "number", "comment")
    }
    assert colours == {
        "keyword": ["SELECT", "FROM", "WHERE"],
        "string": ["'it''s'", "E'\\''", "$$a 'b$$"],
        "number": ["1.5"],
        "comment": ["-- why"],
    }
    letters, colour = (part(step, name).bounding_box() for name in ("sql", "paint"))
    assert letters is not None
    assert colour is not None
    assert letters["height"] > colour["height"]


def test_a_new_line_in_the_editor_begins_below_the_one_before(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    field = part(step, "sql")
    field.fill("SELECT country,\n       plan")
    field.press("Control+End")
    field.press("Enter")
    field.press_sequentially("FROM")
    expect(field).to_have_value("SELECT country,\n       plan\n       FROM")
    field.press("Tab")
    expect(field).not_to_be_focused()


def test_the_keyboard_is_enough(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    expect(part(step, "card")).to_be_focused()
    analyst.keyboard.press("Control+Enter")
    expect_state(step, "answered")
    expect(part(step, "card")).to_be_focused()

    step = ask(analyst, COUNTRIES)
    analyst.keyboard.press("Escape")
    expect(part(step, "reason")).to_be_focused()
    analyst.keyboard.press("Escape")
    expect(part(step, "reason")).to_be_hidden()
    expect(part(step, "reject")).to_be_focused()
    analyst.keyboard.press("Escape")
    analyst.keyboard.press("Enter")
    expect_state(step, "rejected")
    expect(part(step, "sql")).to_be_hidden()

    step = ask(analyst, COUNTRIES)
    part(step, "sql").press("Control+End")
    analyst.keyboard.type(" OFFSET 1")
    analyst.keyboard.press("Control+Enter")
    expect(part(step, "approve")).to_be_visible()
    expect(part(step, "sql")).to_have_value(re.compile("OFFSET 1"))
    analyst.keyboard.press("Control+Enter")
    expect_state(step, "answered")


def test_the_guard_says_what_it_thinks_while_a_person_types(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    part(step, "sql").fill("SELECT * FROM auth_user")
    expect(part(step, "verdict")).to_have_attribute("data-tone", "refused", timeout=10_000)
    expect(part(step, "reasons")).to_contain_text("auth_user")
    expect_state(step, "proposed")
    part(step, "sql").fill("SELECT plan, count(*) FROM analytics_users GROUP BY plan")
    expect(part(step, "verdict")).to_have_attribute("data-tone", "allowed", timeout=10_000)
    expect(part(step, "facts")).to_contain_text("analytics_users plan")
    # What is being typed cannot be approved.
    expect(part(step, "approve")).to_be_hidden()
    part(step, "undo").click()
    expect(part(step, "sql")).to_have_value(re.compile("^SELECT country,"))
    expect(part(step, "approve")).to_be_visible()
    expect(part(step, "facts")).to_contain_text("analytics_users country")


def test_an_edit_is_checked_before_it_can_be_approved(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    part(step, "sql").fill("SELECT * FROM auth_user")
    expect(part(step, "approve")).to_be_hidden()
    part(step, "check").click()
    expect_state(step, "blocked")
    expect(part(step, "reasons")).to_contain_text("auth_user")
    expect(part(step, "approve")).to_be_hidden()

    part(step, "sql").fill("SELECT plan, count(*) AS customers FROM analytics_users GROUP BY plan LIMIT 9")
    part(step, "check").click()
    expect_state(step, "proposed")
    expect(part(step, "facts")).to_contain_text("Written byyou")
    part(step, "approve").click()
    expect_state(step, "answered")
    expect(step.locator("tbody tr")).to_have_count(3)


def test_a_rejection_with_a_reason_brings_another_query_and_it_can_be_skipped(analyst: Page) -> None:
    first = ask(analyst, f"{COUNTRIES} revenue in each country")
    part(first, "reject").click()
    part(first, "reason").fill("Not by country")
    part(first, "reason").press("Enter")
    expect(steps(analyst)).to_have_count(2, timeout=20_000)
    expect_state(steps(analyst).first, "rejected")
    second = steps(analyst).last
    expect(part(second, "card")).to_be_focused()
    first.locator("summary").click()
    expect(part(first, "facts")).to_contain_text("Not by country")
    part(second, "skip").click()
    expect_state(second, "skipped")


def test_a_model_that_writes_no_usable_query_is_replaced_by_a_verified_question(analyst: Page) -> None:
    step = ask(analyst, "agent:delete How many customers are on each plan?")
    expect(part(step, "note")).to_contain_text("Only SELECT is allowed, not delete.")
    expect(part(step, "note")).to_contain_text("“How many customers are on each plan?”")
    part(step, "approve").click()
    expect_state(step, "answered")
    # It answers another question than the one that was asked.
    expect(part(step, "note")).to_contain_text("“How many customers are on each plan?”")


def test_a_question_stays_when_it_is_stopped_empty_or_fails(analyst: Page) -> None:
    field = analyst.locator("#data-agent-text")
    refusal = part(analyst, "refusal")
    part(analyst, "send").click()
    expect(refusal).to_have_text("The message is empty. Please write something.")

    field.fill("agent:slow")
    field.press("Enter")
    expect(part(analyst, "progress-words")).to_have_text(re.compile("^Looking for a query…"))
    part(analyst, "stop").click()
    expect(refusal).to_contain_text("Stopped.")
    expect(field).to_have_value("agent:slow")
    expect(part(analyst, "progress")).to_be_hidden()
    expect_state(ask(analyst, COUNTRIES), "proposed")


def test_what_happens_is_said_to_who_does_not_see_it(analyst: Page) -> None:
    said = analyst.evaluate_handle(
        """() => {
          const said = [];
          const announcer = document.querySelector('[data-part="announcer"]');
          const note = () => said.push(announcer.textContent);
          new MutationObserver(note).observe(announcer, { childList: true, characterData: true, subtree: true });
          return said;
        }"""
    )
    answered(analyst, COUNTRIES)
    expect(part(analyst, "announcer")).to_have_text("Answer: The United States have most customers, Germany fewer.")
    sentences = said.json_value()
    assert "A query is proposed. Read it, then approve or reject it." in sentences
    assert "Running the query, which may take up to 10 seconds." in sentences
    assert "Putting the result into words." in sentences


def test_texts_of_people_and_models_are_shown_as_text(analyst: Page) -> None:
    hostile = "agent:countries <img src=x onerror=alert(1)>"
    step = ask(analyst, hostile)
    expect(part(step, "question")).to_have_text(hostile)
    part(step, "sql").fill("SELECT '<b>bold</b>' AS \"<i>x</i>\", plan FROM analytics_users LIMIT 1")
    part(step, "check").click()
    part(step, "approve").click()
    expect_state(step, "answered")
    expect(step.locator("th").first).to_have_text("<i>x</i>")
    expect(step.locator("td").first).to_have_text("<b>bold</b>")
    expect(analyst.locator(".step img[src=x], .step b")).to_have_count(0)


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
    context = browser.new_context(base_url=running_local_model.wait_for_url())
    page = context.new_page()
    sign_in(page, running_local_model)
    expect(part(page, "connection")).to_have_text("Connected")
    page.locator("#data-agent-text").fill("How many customers are there in each country?")
    page.locator("#data-agent-text").press("Enter")
    step = steps(page).last
    # The model's own query or, where that cannot be used, the verified one: it waits for a person either way.
    expect(step).to_have_attribute("data-state", "proposed", timeout=120_000)
    expect(part(step, "result")).to_be_hidden()
    part(step, "approve").click()
    expect(step).to_have_attribute("data-state", "answered", timeout=60_000)
    expect(step.locator("tbody tr").first).to_be_visible()
    expect(part(step, "answer")).to_have_text(re.compile(r"\w+"))
    context.close()
