"""The data agent's page in German: proposed, refused, approved, downloaded; also on a phone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.end_to_end.accessibility import violations
from tests.end_to_end.workspace import COUNTRIES, PATIENCE, expect_state, part, sign_in, steps
from tests.servers import Up

pytestmark = pytest.mark.browser

SQL = "SELECT country, count(*) * 1000 AS thousands, max(signed_up_at)::date AS newest FROM analytics_users GROUP BY 1"


@pytest.fixture
def german(browser: Browser, running: Up) -> Iterator[Page]:
    """The page of an analyst whose browser asks for German."""
    context = browser.new_context(
        base_url=running.wait_for_url(), locale="de-DE", viewport={"width": 1280, "height": 800}
    )
    page = context.new_page()
    sign_in(page, running)
    page.goto("/data-agent/?new")
    expect(part(page, "connection")).to_have_text("Verbunden", timeout=PATIENCE)
    yield page
    context.close()


def _ask(page: Page, text: str) -> Locator:
    page.locator("#data-agent-text").fill(text)
    page.locator("#data-agent-text").press("Enter")
    return steps(page).last


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_question_is_proposed_approved_and_downloaded_in_german(german: Page) -> None:
    expect(german.locator("html")).to_have_attribute("lang", "de")
    step = _ask(german, COUNTRIES)
    expect_state(step, "proposed")
    expect(part(step, "heading")).to_have_text("Vorgeschlagene Abfrage")
    expect(part(step, "verdict")).to_contain_text("Die Prüfung lässt diese Abfrage zu. LIMIT 100 wurde ergänzt.")
    expect(part(step, "expiry")).to_have_text("Noch etwa 5 Minuten lang zu genehmigen")

    part(step, "sql").fill("SELECT * FROM auth_user")
    expect(part(step, "reasons")).to_contain_text(
        "Die Tabelle 'auth_user' darf nicht gelesen werden.", timeout=PATIENCE
    )
    part(step, "sql").fill(SQL)
    part(step, "check").click()
    part(step, "approve").click(timeout=PATIENCE)
    expect_state(step, "answered")
    expect(step.locator("caption")).to_have_text(re.compile(r"^15 Zeilen in [\d.]+ ms\."))
    expect(step.locator("tbody tr").first).to_have_text(re.compile(r"\d{1,3}\.\d{3}\d\d\.\d\d\.\d{4}$"))
    with german.expect_download() as started:
        step.get_by_text("CSV herunterladen").click()
    assert re.search(r",\d{4,},\d{4}-\d\d-\d\d\r?$", started.value.path().read_text("utf-8-sig"), re.MULTILINE)

    for width in (1280, 390):
        german.set_viewport_size({"width": width, "height": 844})
        assert _fits(german)
        assert violations(german) == []
