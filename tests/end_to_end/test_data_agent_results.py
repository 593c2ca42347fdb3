"""What came out of a query: chart, table, files, links, and where the numbers of an answer are from."""

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.workspace import COUNTRIES, answered, ask, connected, expect_state, part, run_sql, steps

pytestmark = pytest.mark.browser

DAYS = """SELECT date_trunc('day', purchased_at) AS day,
  sum(total_amount) AS revenue, avg(quantity) AS pieces, count(*) AS n
FROM analytics_purchases GROUP BY 1 ORDER BY 1 LIMIT 40"""


def _column(step: Locator, place: int) -> list[str]:
    return step.locator(f"tbody tr td:nth-child({place + 1})").all_inner_texts()


def _download(step: Locator, name: str) -> Path:
    with step.page.expect_download() as started:
        part(step, name).click()
    assert started.value.suggested_filename.endswith(f".{name}")
    return Path(started.value.path())


def test_propose_edit_approve_chart_and_csv(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    sql = "SELECT plan, count(*) AS customers FROM analytics_users GROUP BY plan ORDER BY plan"
    part(step, "sql").fill(sql)
    part(step, "check").click()
    expect(part(step, "sql")).to_have_value(re.compile(r"LIMIT 100$"))
    part(step, "approve").click()
    expect_state(step, "answered")

    picture = part(step, "chart").locator("img")
    expect(picture).to_have_attribute("alt", re.compile("^Chart of customers by plan"))
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0
    wide = analyst.viewport_size
    assert wide is not None
    analyst.set_viewport_size({"width": 390, "height": 800})
    analyst.wait_for_function("() => document.querySelector('.chart img').currentSrc.endsWith('?narrow')")
    analyst.set_viewport_size(wide)

    rows = list(csv.reader(_download(step, "csv").read_text("utf-8-sig").splitlines()))
    assert rows[0] == ["plan", "customers"]
    assert [row[0] for row in rows[1:]] == ["enterprise", "free", "pro"] == _column(step, 0)
    document = json.loads(_download(step, "json").read_text())
    assert [row[0] for row in document["rows"]] == ["enterprise", "free", "pro"]
    assert document["sql"] == part(step, "code").text_content()


def test_numbers_and_times_are_shown_to_be_read_and_keep_their_exact_text(analyst: Page) -> None:
    step = run_sql(
        analyst,
        "SELECT 1234567.5 AS amount, 0.123456 AS share, 2024 AS year, 12345678901234567890 AS long, NULL::int AS none, "
        "timestamp '2024-05-01 00:00:00' AS day, timestamptz '2024-05-01 10:30:15+00' AS moment, "
        "repeat('word ', 50) AS text FROM analytics_users LIMIT 1",
    )
    cells = step.locator("tbody tr").first.locator("td")
    shown = ["1,234,567.5", "0.1235", "2024", "12,345,678,901,234,567,890", "empty", "2024-05-01", "2024-05-01 10:30"]
    for place, text in enumerate(shown):
        expect(cells.nth(place)).to_have_text(text)
    expect(cells.nth(0)).to_have_attribute("title", "1234567.5")
    expect(cells.nth(6)).to_have_attribute("title", re.compile(r"^2024-05-01 10:30:15"))
    expect(cells.nth(7).locator("summary")).to_have_text(re.compile("…$"))
    cells.nth(7).locator("summary").click()
    expect(cells.nth(7).locator("summary")).to_have_text("Show less")


def test_a_table_is_sorted_by_its_heads_and_turned_over_page_by_page(analyst: Page) -> None:
    step = run_sql(analyst, DAYS)
    original = _column(step, 0)
    assert len(original) == 15
    expect(part(step, "rows")).to_have_text("Rows 1 to 15 of 40")
    head = step.locator("th").nth(1)
    head.locator("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(part(analyst, "announcer")).to_have_text("Sorted by revenue, descending.")
    amounts = [float(text.replace(",", "")) for text in _column(step, 1)]
    assert amounts == sorted(amounts, reverse=True)
    head.locator("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert float(_column(step, 1)[0].replace(",", "")) < amounts[-1]
    head.locator("button").click()
    expect(head).not_to_have_attribute("aria-sort", re.compile("."))
    assert _column(step, 0) == original

    expect(part(step, "previous")).to_be_disabled()
    part(step, "next").click()
    part(step, "next").click()
    expect(part(step, "rows")).to_have_text("Rows 31 to 40 of 40")
    expect(step.locator("tbody tr")).to_have_count(10)
    # The button that has the focus keeps it, though it leads nowhere now.
    expect(part(step, "next")).to_be_focused()
    expect(part(step, "next")).to_have_attribute("aria-disabled", "true")
    part(step, "next").press("Enter")
    expect(part(step, "rows")).to_have_text("Rows 31 to 40 of 40")


def test_a_result_that_stops_at_the_limit_says_so(analyst: Page) -> None:
    step = run_sql(analyst, "SELECT id FROM analytics_users ORDER BY id LIMIT 3")
    expect(part(step, "cut")).to_have_text("The query stops at LIMIT 3; there may be more rows.")
    step = run_sql(analyst, "SELECT count(*) AS n FROM analytics_users LIMIT 3")
    expect(part(step, "cut")).to_be_hidden()


def test_the_rows_of_an_older_result_are_fetched_when_they_are_wanted(analyst: Page) -> None:
    for _ in range(3):
        run_sql(analyst, "SELECT * FROM analytics_purchases ORDER BY id LIMIT 1000")
    analyst.reload()
    step = steps(analyst).first
    expect(step.locator("caption")).to_be_hidden()
    expect(part(step, "load")).to_have_text("Show the 1,000 rows")
    part(step, "load").click()
    expect(part(step, "rows")).to_have_text("Rows 1 to 15 of 1,000")
    expect(part(step, "load")).to_be_hidden()


def test_a_step_has_an_address_of_its_own(analyst: Page) -> None:
    first = answered(analyst, COUNTRIES)
    answered(analyst, COUNTRIES)
    address = part(first, "permalink").get_attribute("href")
    assert address is not None
    analyst.goto("/about/")
    analyst.goto(address)
    connected(analyst)
    expect(analyst).to_have_url(re.compile(r"/data-agent/[0-9a-f-]{36}/#step-[0-9a-f-]{36}$"))
    expect(part(steps(analyst).first, "card")).to_be_focused()
    expect(part(steps(analyst).first, "card")).to_be_in_viewport()
