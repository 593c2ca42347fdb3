"""The operators' pages, as tests use them."""

from playwright.sync_api import Page


def settle(page: Page, button: str) -> None:
    """Choose what is to become of a dead letter: the page that asks whether that is meant."""
    # The page waits for the broker no longer than 2 s, which a busy machine may take.
    for _ in range(20):
        page.goto("/admin/operations/dead-letters/")
        if page.get_by_role("button", name=button).is_visible():
            break
    page.get_by_role("button", name=button).click()


def open_failed_question(page: Page) -> None:
    """Open the newest question that failed."""
    page.goto("/admin/kafka_chat/chatmessage/?status__exact=failed")
    page.locator("#result_list .field-asked a").first.click()
