"""axe finds nothing on the pages in their states, in either colour scheme; large text loses nothing, nothing moves."""

import re

import pytest
from django.test import RequestFactory
from playwright.sync_api import Page, Route, expect

from config.views import server_error
from tests.end_to_end.accessibility import everything_wrong, motion, violations
from tests.end_to_end.chats import CHATS, bring_up, is_answered, open_chats, send
from tests.end_to_end.workspace import COUNTRIES, ask, expect_state, part

pytestmark = pytest.mark.browser


def test_the_about_page_in_all_its_states(page: Page) -> None:
    open_chats(page)
    assert violations(page) == []
    exchange = send(page, "ws-chat", "scene:slow please")
    send(page, "kafka-chat", "scene:slow please")
    expect(exchange).to_have_attribute("data-state", "streaming")
    assert violations(page) == []
    for chat in CHATS:
        page.locator(f"#{chat} .explained > summary").click()
        is_answered(page.locator(f"#{chat} .exchange").last)
        is_answered(send(page, chat, "scene:markdown please"))
        page.locator(f'#{chat} [data-part="timeline"] summary').first.click(timeout=15_000)
        page.locator(f"#{chat} figure").first.wait_for()
        page.locator(f'#{chat} [data-part="down"]').last.click()
        page.locator(f'#{chat} [name="comment"]').last.wait_for()
        failed = send(page, chat, "scene:cut please")
        expect(failed).to_have_attribute("data-state", "failed", timeout=20_000)
        page.locator(f'#{chat} [data-part="edit"]').last.click()
        page.locator(f"#{chat}-text").fill("x" * 4001)
        page.locator(f'#{chat} [data-part="send"]').click()
        expect(page.locator(f'#{chat} [data-part="refusal"]')).to_be_visible()
    assert violations(page) == []


def test_the_about_page_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_chats(page)
    for chat in CHATS:
        bring_up(page, chat)
        assert violations(page) == []


def test_the_data_agent_in_all_its_states(analyst: Page) -> None:
    assert everything_wrong(analyst) == []
    step = ask(analyst, COUNTRIES)
    expect_state(step, "proposed")
    assert everything_wrong(analyst) == []
    part(step, "approve").click()
    expect_state(step, "answered")
    assert everything_wrong(analyst) == []
    expect_state(ask(analyst, "agent:delete"), "blocked")
    assert everything_wrong(analyst) == []


def test_pages_around_them(page_may_complain: Page) -> None:
    page = page_may_complain
    for address in ("/compare/", "/data-agent/", "/your-data/", "/models/", "/admin/login/", "/nowhere/"):
        page.goto(address)
        assert everything_wrong(page) == [], address


def test_a_form_that_is_refused(page_may_complain: Page) -> None:
    page = page_may_complain
    page.goto("/about/")
    with page.expect_navigation() as answer:
        # Without the token of the page's own form.
        page.evaluate(
            "() => { const form = document.createElement('form'); form.method = 'post'; "
            "form.action = '/about/'; document.body.append(form); form.submit(); }"
        )
    assert answer.value is not None
    assert answer.value.status == 403
    assert everything_wrong(page) == []


def test_a_fault_of_ours(page_may_complain: Page) -> None:
    said = server_error(RequestFactory().get("/about/")).content
    page_may_complain.route(re.compile(r"/about/$"), lambda route: route.fulfill(status=500, body=said))
    page_may_complain.goto("/about/")
    expect(page_may_complain.get_by_role("heading", level=1)).to_have_text("Something went wrong on our side")
    assert everything_wrong(page_may_complain) == []


def test_the_about_page_without_scripts(page: Page) -> None:
    # axe is one. So the page has none of its own, and shows what is for browsers that run none.
    shown = {
        r"<script\b.*?</script>|</?noscript>": "",
        r"\(scripting: none\)": "all",
        r"\(scripting: enabled\)": "print",
    }

    def strip(route: Route) -> None:
        response = route.fetch()
        text = response.text()
        for pattern, instead in shown.items():
            text = re.sub(pattern, instead, text, flags=re.DOTALL)
        route.fulfill(response=response, body=text)

    page.route(re.compile(r"/about/$|/about\.\w+\.css$"), strip)
    page.goto("/about/")
    expect(page.locator("#ws-chat").get_by_text("needs JavaScript")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(1)
    assert everything_wrong(page) == []


def test_what_is_not_open_to_an_analyst(analyst_may_complain: Page) -> None:
    analyst_may_complain.goto("/admin/operations/")
    assert everything_wrong(analyst_may_complain) == []


def test_who_wants_less_motion_sees_none(page: Page) -> None:
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:lasting please")
    expect(exchange).to_have_attribute("data-state", "streaming")
    # The connection's mark breathes while an answer is written.
    assert page.evaluate("document.getAnimations().length") > 0
    assert motion(page) == []
    assert page.evaluate("document.getAnimations().length") == 0
    page.locator('#ws-chat [data-part="stop"]').click()


def test_a_growing_answer_is_told_in_sentences_and_not_word_by_word(page: Page) -> None:
    open_chats(page)
    page.evaluate(
        """() => {
          const region = document.querySelector('#ws-chat [data-part="announcer"]');
          window.told = [];
          new MutationObserver(() => window.told.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    exchange = send(page, "ws-chat", "scene:sentences please")
    is_answered(exchange)
    told = page.evaluate("window.told")
    assert " ".join(told) == part(exchange, "answer").inner_text()
    assert all(each.endswith(".") for each in told)
    assert len(told) > 1


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_text_twice_as_large_loses_nothing(page: Page, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    open_chats(page)
    # What the browser's own setting does: every length here is in rem or em.
    page.evaluate("document.documentElement.style.setProperty('font-size', '200%')")
    for chat in CHATS:
        is_answered(send(page, chat, "What is an outbox?"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.locator(f"#{chat}").evaluate(
            """panel => [...panel.querySelectorAll('h2, p, button, label, summary, textarea')]
              .filter(each => each.checkVisibility({visibilityProperty: true}))
              .filter(each => !each.closest('.visually-hidden, .log'))
              .filter(each => {
                const [inner, outer] = [each.getBoundingClientRect(), panel.getBoundingClientRect()];
                return inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1 || inner.left < outer.left - 1;
              }).map(each => each.outerHTML)"""
        )
        assert cut == []
        log = page.locator(f'#{chat} [data-part="log"]').bounding_box()
        assert log is not None
        assert log["height"] >= 100
