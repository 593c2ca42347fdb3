"""Beside the conversation: past ones, sharing, the tables; and small screens."""

import re

import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.conftest import COLLEAGUE
from tests.end_to_end.workspace import (
    COUNTRIES,
    answered,
    ask,
    begin,
    connected,
    database_url,
    expect_state,
    part,
    steps,
)
from tests.servers import Up

pytestmark = pytest.mark.browser


def _table(page: Page, name: str) -> Locator:
    return page.locator(".table-info", has=page.locator("summary", has_text=name))


def test_the_tables_can_be_looked_into(analyst: Page) -> None:
    table = _table(analyst, "analytics_purchases")
    table.locator("summary").click()
    expect(table).to_contain_text("quantity times unit_price, in US dollars.")
    part(table, "sample-load").click()
    expect(table.locator("tbody tr")).to_have_count(5)
    expect(table.locator("th").nth(2)).to_have_text("product_name")


def test_past_conversations_are_listed_and_go_on(analyst: Page) -> None:
    answered(analyst, f"{COUNTRIES} the first of two")
    expect(analyst.locator(".sessions a[aria-current]")).to_have_text(f"{COUNTRIES} the first of two")
    expect(part(analyst, "no-sessions")).to_have_count(0)
    begin(analyst)
    answered(analyst, f"{COUNTRIES} the second of two")
    analyst.locator(".sessions a", has_text="the first of two").first.click()
    connected(analyst)
    expect(steps(analyst)).to_have_count(1)
    expect(part(steps(analyst).first, "question")).to_have_text(f"{COUNTRIES} the first of two")
    expect(analyst).to_have_title(re.compile("^agent:countries the first of two"))
    answered(analyst, COUNTRIES)
    expect(steps(analyst)).to_have_count(2)


def test_older_conversations_are_fetched_when_they_are_wanted(analyst: Page, running: Up) -> None:
    with psycopg.connect(database_url(running)) as connection:
        connection.execute(
            "INSERT INTO da_session (id, owner_id, title, created_at) "
            "SELECT gen_random_uuid(), id, 'Old number ' || n, timestamptz '2020-01-01' - n * interval '1 day' "
            "FROM auth_user, generate_series(1, 15) n "
            "WHERE username = 'analyst'"
        )
    analyst.reload()
    connected(analyst)
    older = part(analyst, "older")
    last = analyst.locator(".sessions li", has_text="Old number 15")
    for _ in range(20):
        if last.count():
            break
        shown = analyst.locator(".sessions li").count()
        older.click()
        expect(analyst.locator(".sessions li").nth(shown)).to_be_visible()
        expect(analyst.locator(".sessions li").nth(shown).locator("a")).to_be_focused()
    expect(last).to_contain_text(re.compile("Old number 15.*17 Dec 2019, 00:00"))
    expect(older).to_be_hidden()


def test_a_conversation_is_shared_read_and_taken_back(analyst: Page, colleague: Page) -> None:
    name, _ = COLLEAGUE
    expect(part(analyst, "share")).to_be_hidden()
    answered(analyst, f"{COUNTRIES} to be shared")
    ask(analyst, COUNTRIES)
    response = colleague.goto(analyst.url)
    assert response is not None
    assert response.status == 404

    part(analyst, "share").click()
    field = analyst.locator("#sharing-person")
    expect(field).to_be_focused()
    field.fill("nobody of that name")
    field.press("Enter")
    expect(part(analyst, "sharing-trouble")).to_contain_text("nobody of that name")
    field.fill(name)
    field.press("Enter")
    expect(part(analyst, "people")).to_contain_text(name)
    expect(part(analyst, "share")).to_have_text("Shared with 1")

    colleague.goto(analyst.url)
    expect(part(colleague, "shared-by")).to_contain_text("shares this conversation with you")
    expect(steps(colleague)).to_have_count(2)
    expect(part(steps(colleague).first, "answer")).to_have_text("The United States have most customers, Germany fewer.")
    for hidden in ("approve", "reject", "editing", "expiry"):
        expect(part(steps(colleague).last, hidden)).to_be_hidden()
    expect(colleague.locator("#data-agent-text")).to_be_hidden()

    part(analyst, "people").get_by_role("button", name=f"Stop sharing with {name}").click()
    expect(part(analyst, "share")).to_have_text("Share")
    response = colleague.reload()
    assert response is not None
    assert response.status == 404


def test_staff_mark_a_question_as_verified_and_take_that_back(colleague: Page) -> None:
    step = answered(colleague, f"{COUNTRIES} to be verified")
    part(step, "verify").click()
    expect(part(step, "verified")).to_be_visible()
    part(step, "verify").click()
    expect(part(step, "verified")).to_be_hidden()


def test_personal_data_is_masked_without_the_permission_and_withheld_where_it_was_not(
    analyst: Page, colleague: Page
) -> None:
    addresses = []
    for page in (analyst, colleague):
        table = _table(page, "analytics_users")
        table.locator("summary").click()
        part(table, "sample-load").click()
        expect(table.locator("tbody tr").first).to_be_visible()
        addresses.append(table.locator("tbody tr").first.locator("td").nth(2).inner_text())
    assert "@" not in addresses[0]
    assert "@" in addresses[1]

    step = answered(colleague, "agent:emails")
    expect(step.locator("caption")).to_contain_text("It holds personal data.")
    part(colleague, "share").click()
    colleague.locator("#sharing-person").fill("analyst")
    colleague.locator("#sharing-person").press("Enter")
    expect(part(colleague, "share")).to_have_text("Shared with 1")
    analyst.goto(colleague.url)
    step = steps(analyst).first
    expect(part(step, "withheld")).to_contain_text("your account may not see")
    for hidden in ("scroll", "csv", "json", "load", "answer"):
        expect(part(step, hidden)).to_be_hidden()
    expect(analyst.locator("#data-agent .steps")).not_to_contain_text("@")


@pytest.mark.parametrize("width", [390, 320])
def test_the_page_fits_a_phone(analyst: Page, width: int) -> None:
    analyst.set_viewport_size({"width": width, "height": 740})
    expect(analyst.locator("#tables")).to_be_hidden()
    opener = analyst.get_by_role("button", name="Tables")
    opener.click()
    expect(analyst.locator("#tables")).to_be_visible()
    opener.click()
    expect(analyst.locator("#tables")).to_be_hidden()
    step = ask(analyst, COUNTRIES)
    part(step, "sql").fill("SELECT * FROM auth_user")
    expect(part(step, "verdict")).to_have_attribute("data-tone", "refused", timeout=10_000)
    assert analyst.evaluate("document.documentElement.scrollWidth") <= width
    part(step, "undo").click()
    part(step, "approve").click()
    expect_state(step, "answered")
    assert analyst.evaluate("document.documentElement.scrollWidth") <= width
