"""The Kafka chat where something on the way does not let requests wait."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.end_to_end.chats import is_answered, open_chats, send

pytestmark = pytest.mark.browser

_HOLD = "&wait=20"


def test_an_answer_comes_by_polling_where_no_request_is_held(page: Page) -> None:
    looks: list[bool] = []

    def let_nobody_wait(route: Route) -> None:
        held = route.request.url.endswith(_HOLD)
        looks.append(held)
        route.continue_(url=route.request.url.removesuffix(_HOLD))

    page.route("**/api/check-answer/*", let_nobody_wait)
    open_chats(page)
    exchange = send(page, "kafka-chat", "scene:slow please")
    connection = page.locator('#kafka-chat [data-part="connection"]')
    expect(connection).to_contain_text("Requests that wait are cut off")
    is_answered(exchange)
    expect(connection).to_have_text("Ready")
    # Two tries; then from 0.25 s on with pauses of a quarter of the time so far, over the two seconds and more of it.
    assert looks[:2] == [True, True]
    assert not any(looks[2:])
    assert 5 <= len(looks) <= 20
