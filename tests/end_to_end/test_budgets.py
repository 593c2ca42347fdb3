"""A visitor with a small budget, in a browser: the refusal is shown with its wait, and no text is lost."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from config.embedded.ports import any_free
from tests.end_to_end.conftest import SCRIPTED
from tests.servers import Up, up

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def small_budget(tmp_path_factory: pytest.TempPathFactory, static_files: None) -> Iterator[Up]:
    """A running system in which a visitor may ask once in an hour, and an account too."""
    settings = SCRIPTED | {"LLM_BUDGET_ANONYMOUS": "1/hour", "LLM_BUDGET_SIGNED_IN": "1/hour"}
    with up(tmp_path_factory.mktemp("budgets") / "data", settings, "--port", str(any_free())) as running:
        running.wait_for_url()
        yield running


@pytest.fixture
def page(browser: Browser, small_budget: Up) -> Iterator[Page]:
    """A page of a new visitor."""
    context = browser.new_context(base_url=small_budget.wait_for_url(), viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("chat", ["kafka-chat", "ws-chat"])
def test_a_refusal_says_the_limit_and_the_wait_and_keeps_the_draft(page: Page, chat: str) -> None:
    page.goto("/about/")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")
    field, budgets = page.locator(f"#{chat}-text"), page.locator('[data-part="budget"]')
    expect(budgets).to_have_text(["1 question left this hour"] * 2)
    field.fill("What is an outbox?")
    field.press("Enter")
    exchange = page.locator(f"#{chat} .exchange")
    expect(exchange).to_have_attribute("data-state", "answered", timeout=20_000)
    expect(budgets).to_have_text(["No questions left this hour"] * 2)
    field.fill("And what is a lease?")
    field.press("Enter")
    refusal = page.locator(f'#{chat} [data-part="refusal"]')
    expect(refusal).to_have_text(
        re.compile(
            r"^You have asked 1 question within an hour, which is the limit\. "
            r"Please wait about \d+ minutes, then send it again\.$"
        )
    )
    expect(refusal).to_have_attribute("role", "alert")
    expect(field).to_have_value("And what is a lease?")
    expect(exchange).to_have_count(1)
    counting = re.compile(r"^You can ask again in [0-5]\d:\d\d$")
    expect(budgets).to_have_text([counting] * 2)
    page.reload()
    expect(field).to_have_value("And what is a lease?")
    expect(budgets).to_have_text([counting] * 2)
    page.evaluate("sessionStorage.setItem('about:wait', Date.now() + 1000)")
    page.reload()
    expect(budgets).to_have_text(["No questions left this hour"] * 2)
    expect(field).to_have_value("And what is a lease?")


def test_the_data_agent_says_it_too(page: Page, small_budget: Up) -> None:
    link = re.search(r"http://\S+/demo/\S+/", small_budget.output)
    assert link is not None, small_budget.output
    page.goto(link.group())
    expect(page.locator('#data-agent [data-part="connection"]')).to_have_text("Connected")
    field = page.locator("#data-agent-text")
    field.fill("agent:countries")
    field.press("Enter")
    expect(page.locator("#data-agent .step")).to_have_count(1, timeout=20_000)
    field.fill("agent:countries again")
    field.press("Enter")
    expect(page.locator('#data-agent [data-part="refusal"]')).to_contain_text(
        "You have asked 1 question within an hour"
    )
    expect(field).to_have_value("agent:countries again")
