"""What survives: time that runs out, a reload, a dropped connection, a second tab."""

import re

import psycopg
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.end_to_end.workspace import (
    COUNTRIES,
    SLOW,
    ask,
    begin,
    connected,
    database_url,
    expect_state,
    part,
    sign_in,
    start_sql,
    steps,
)
from tests.servers import Up

pytestmark = pytest.mark.browser

Sockets = list[tuple[WebSocketRoute, WebSocketRoute]]


@pytest.fixture
def sockets(analyst_may_complain: Page) -> Sockets:
    """The connections of a page in a new conversation, each with its end in the browser and at the server."""
    page = analyst_may_complain
    made: Sockets = []
    page.route_web_socket("**/ws/data-agent/", lambda socket: made.append((socket, socket.connect_to_server())))
    begin(page)
    return made


def _drop(sockets: Sockets) -> None:
    for end in sockets[-1]:
        end.close(code=1001)


def test_a_proposal_says_how_long_it_is_valid_and_expires_in_the_page(page: Page, running: Up) -> None:
    page.clock.install()
    sign_in(page, running)
    begin(page)
    step = ask(page, COUNTRIES)
    expect(part(step, "expiry")).to_have_text("Can be approved for about 5 more minutes")
    page.clock.fast_forward("04:15")
    expect(part(step, "expiry")).to_have_text(re.compile(r"for \d+ more seconds$"))
    expect(part(page, "announcer")).to_have_text("Less than a minute is left to approve the query.")
    page.clock.fast_forward("01:00")
    expect_state(step, "expired")
    expect(part(step, "approve")).to_be_hidden()
    expect(part(step, "expiry")).to_be_hidden()
    expect(part(page, "announcer")).to_have_text("The proposal is too old now. Check it again, then approve it.")
    part(step, "check").click()
    expect_state(step, "proposed")
    part(step, "approve").click()
    expect_state(step, "answered")


def test_an_approval_that_the_server_finds_too_old_is_refused_and_can_be_checked_again(
    analyst: Page, running: Up
) -> None:
    step = ask(analyst, COUNTRIES)
    expect_state(step, "proposed")
    identifier = str(step.get_attribute("id")).removeprefix("step-")
    with psycopg.connect(database_url(running)) as connection:
        connection.execute("UPDATE da_step SET expires_at = now() - interval '1 second' WHERE id = %s", [identifier])
    part(step, "approve").click()
    expect_state(step, "expired")
    expect(part(step, "trouble")).to_contain_text("too old")
    expect(part(step, "result")).to_be_hidden()
    part(step, "check").click()
    expect_state(step, "proposed")
    expect(part(step, "trouble")).to_be_hidden()
    part(step, "approve").click()
    expect_state(step, "answered")


def test_a_proposal_and_what_was_typed_into_it_outlive_the_connection(
    analyst_may_complain: Page, sockets: Sockets
) -> None:
    page = analyst_may_complain
    step = ask(page, COUNTRIES)
    typed = "SELECT plan FROM analytics_users LIMIT 2"
    part(step, "sql").fill(typed)
    _drop(sockets)
    expect(part(page, "connection")).not_to_have_text("Connected")
    connected(page)
    assert len(sockets) == 2
    expect(part(step, "sql")).to_have_value(typed)
    part(step, "check").click()
    part(step, "approve").click()
    expect_state(step, "answered")
    expect(steps(page)).to_have_count(1)


def test_a_decision_without_a_connection_is_not_lost_in_silence(analyst_may_complain: Page, sockets: Sockets) -> None:
    page = analyst_may_complain
    step = ask(page, COUNTRIES)
    page.context.set_offline(True)
    _drop(sockets)
    expect(part(page, "connection")).to_have_attribute("data-tone", "wait")
    part(step, "approve").click()
    expect(part(step, "trouble")).to_contain_text("There is no connection right now.")
    page.context.set_offline(False)
    connected(page)
    part(step, "approve").click()
    expect_state(step, "answered")


def test_a_query_whose_page_is_gone_is_ended_and_the_page_says_so(analyst_may_complain: Page, sockets: Sockets) -> None:
    page = analyst_may_complain
    step = start_sql(page, SLOW)
    expect_state(step, "approved")
    _drop(sockets)
    connected(page)
    page.reload()
    step = steps(page).last
    expect_state(step, "failed")
    expect(part(step, "error")).to_contain_text("cancelled")


def test_a_running_query_can_be_cancelled(analyst: Page) -> None:
    step = start_sql(analyst, SLOW)
    expect(part(analyst, "progress-words")).to_have_text(re.compile("^Running the query"))
    part(analyst, "stop").click()
    expect_state(step, "failed")
    expect(part(step, "error")).to_contain_text("cancelled")
    expect(part(analyst, "progress")).to_be_hidden()
    expect_state(ask(analyst, COUNTRIES), "proposed")


def test_what_one_tab_decides_another_shows(analyst: Page) -> None:
    step = ask(analyst, COUNTRIES)
    other = analyst.context.new_page()
    other.goto(analyst.url)
    connected(other)
    part(steps(other).last, "skip").click()
    expect_state(steps(other).last, "skipped")
    expect_state(step, "skipped")
    expect(part(step, "approve")).to_be_hidden()
