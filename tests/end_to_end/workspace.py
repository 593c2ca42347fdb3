"""The data agent's page, as tests use it."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.servers import Up

COUNTRIES = "agent:countries"
# PostgreSQL expects a two-hundredth of the rows that come of it.
SLOW = "SELECT count(*) AS n FROM analytics_purchases a JOIN analytics_purchases b ON a.quantity * 0 = b.quantity * 0"
# Milliseconds for a step to change; machines are busy.
PATIENCE = 20_000


def sign_in(page: Page, running: Up) -> None:
    """Follow the link in the terminal, which signs in the demo analyst."""
    link = re.search(r"http://\S+/demo/\S+/", running.output)
    assert link is not None, running.output
    page.goto(link.group())
    expect(page).to_have_url(re.compile("/data-agent/$"))


def begin(page: Page) -> None:
    """Open a new conversation."""
    page.goto("/data-agent/?new")
    connected(page)


def connected(page: Page) -> None:
    """Wait until the page is connected."""
    expect(page.locator('[data-part="connection"]')).to_have_text("Connected", timeout=PATIENCE)


def ask(page: Page, text: str) -> Locator:
    """Ask a question; return the step that it began."""
    shown = steps(page)
    before = shown.count()
    page.locator("#data-agent-text").fill(text)
    page.locator("#data-agent-text").press("Enter")
    expect(shown).to_have_count(before + 1, timeout=PATIENCE)
    return shown.nth(before)


def answered(page: Page, text: str) -> Locator:
    """Ask a question and approve the query; return the step once it is answered."""
    step = ask(page, text)
    part(step, "approve").click()
    expect_state(step, "answered")
    return step


def start_sql(page: Page, sql: str) -> Locator:
    """Approve a query of one's own; return its step."""
    step = ask(page, COUNTRIES)
    part(step, "sql").fill(sql)
    part(step, "check").click()
    part(step, "approve").click(timeout=PATIENCE)
    return step


def run_sql(page: Page, sql: str) -> Locator:
    """Have a query of one's own run; return the step once it is answered."""
    step = start_sql(page, sql)
    expect_state(step, "answered")
    return step


def steps(page: Page) -> Locator:
    """Return all steps that are shown."""
    return page.locator("#data-agent .step")


def part(within: Locator | Page, name: str) -> Locator:
    """Return a part by the name that the scripts know it by."""
    return within.locator(f'[data-part="{name}"]')


def expect_state(step: Locator, state: str) -> None:
    """Wait until a step is in a state."""
    expect(step).to_have_attribute("data-state", state, timeout=PATIENCE)


def database_url(running: Up) -> str:
    """Return the address of the system's database, for what no visitor can do."""
    found = re.search(r"^DATABASE_URL=(.+)$", (running.folder / "up.env").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)
