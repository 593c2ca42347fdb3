"""What is done with answers in a browser: asked again, edited, rated, copied, begun anew, and read back."""

import re
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, WebSocketRoute, expect

from tests.end_to_end.chats import CONNECTION, EVERY_CHAT, EVERY_SIZE, bring_up, is_answered, open_chats, send

pytestmark = pytest.mark.browser


def _tool(exchange: Locator, name: str) -> Locator:
    return exchange.locator(f'[data-part="{name}"]')


@EVERY_SIZE
def test_an_answer_is_asked_for_again_in_its_place(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_chats(page)
    is_answered(send(page, "ws-chat", "Hello"))
    exchange = send(page, "ws-chat", "scene:slow please")
    earlier = page.locator("#ws-chat .exchange").first
    # Not while it is being written, and only the last one.
    expect(_tool(exchange, "tools")).to_be_hidden()
    is_answered(exchange)
    expect(_tool(earlier, "again")).to_be_hidden()
    first = exchange.get_attribute("data-run")
    _tool(exchange, "again").click()
    expect(exchange).to_have_attribute("data-state", "streaming")
    expect(_tool(exchange, "answer")).to_have_text(re.compile("^one two"))
    is_answered(exchange)
    assert exchange.get_attribute("data-run") != first
    for _ in range(2):
        expect(page.locator("#ws-chat .exchange")).to_have_count(2)
        expect(_tool(exchange, "answer")).to_have_text("one two three four five six seven eight nine ten")
        page.reload()


@EVERY_SIZE
def test_the_last_question_is_edited_and_the_draft_comes_back(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_chats(page)
    exchange = send(page, "ws-chat", "What is an otbox?")
    is_answered(exchange)
    field = page.locator("#ws-chat-text")
    field.fill("my draft")
    _tool(exchange, "edit").click()
    expect(field).to_have_value("What is an otbox?")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(field).to_have_value("my draft")
    expect(page.locator('#ws-chat [data-part="editing"]')).to_be_hidden()
    _tool(exchange, "edit").click()
    field.fill("What is an outbox?")
    field.press("Enter")
    expect(_tool(exchange, "answer")).to_contain_text("You said: What is an outbox?")
    expect(field).to_have_value("my draft")
    for _ in range(2):
        expect(page.locator("#ws-chat .exchange")).to_have_count(1)
        expect(_tool(exchange, "question")).to_have_text("What is an outbox?")
        expect(_tool(exchange, "answer")).to_contain_text("You said: What is an outbox?")
        page.reload()
    expect(field).to_have_value("my draft")


def test_in_the_kafka_chat_asking_again_and_editing_ask_the_next_question(page: Page) -> None:
    open_chats(page)
    exchanges = page.locator("#kafka-chat .exchange")
    is_answered(send(page, "kafka-chat", "What is an otbox?"))
    _tool(exchanges.first, "again").click()
    expect(exchanges).to_have_count(2)
    is_answered(exchanges.last)
    expect(_tool(exchanges.first, "again")).to_be_hidden()
    field = page.locator("#kafka-chat-text")
    field.fill("my draft")
    _tool(exchanges.last, "edit").click()
    expect(field).to_have_value("What is an otbox?")
    field.fill("What is an outbox?")
    field.press("Enter")
    expect(exchanges).to_have_count(3)
    expect(field).to_have_value("my draft")
    is_answered(exchanges.last)
    page.reload()
    questions = [_tool(exchange, "question").inner_text() for exchange in exchanges.all()]
    assert questions == ["What is an otbox?"] * 2 + ["What is an outbox?"]


def test_a_second_tab_shows_the_new_version_in_the_same_place(page: Page, visit: BrowserContext) -> None:
    other = visit.new_page()
    for tab in (page, other):
        open_chats(tab)
    is_answered(send(page, "ws-chat", "Hello"))
    exchange, theirs = (tab.locator("#ws-chat .exchange") for tab in (page, other))
    is_answered(theirs)
    _tool(theirs, "edit").click()
    other.locator("#ws-chat-text").fill("Hello again")
    other.locator("#ws-chat-text").press("Enter")
    for each in (exchange, theirs):
        expect(each).to_have_count(1)
        expect(_tool(each, "question")).to_have_text("Hello again")
        expect(_tool(each, "answer")).to_contain_text("You said: Hello again")


@pytest.mark.parametrize(("chat", "width"), [("kafka-chat", 1280), ("ws-chat", 390)])
def test_an_answer_is_rated_with_a_comment_changed_and_taken_back(page: Page, chat: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_chats(page)
    exchange = send(page, chat, "Hello")
    is_answered(exchange)
    # Its row is there a moment after its end.
    page.wait_for_timeout(300)
    up, down = _tool(exchange, "up"), _tool(exchange, "down")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "true")
    comment = exchange.locator('[name="comment"]')
    comment.fill("It is too short.")
    comment.press("Enter")
    expect(_tool(exchange, "comment-note")).to_have_text("Thank you. Your comment is kept.")
    for _ in range(2):
        expect(down).to_have_attribute("aria-pressed", "true")
        expect(comment).to_have_value("It is too short.")
        page.reload()
    expect(page.locator(CONNECTION)).to_have_text("Connected")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(down).to_have_attribute("aria-pressed", "false")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(comment).to_have_value("")
    for each in (up, down):
        expect(each).to_have_attribute("aria-pressed", "false")


@EVERY_CHAT
def test_an_answer_and_a_block_of_code_are_copied(page: Page, visit: BrowserContext, chat: str) -> None:
    visit.grant_permissions(["clipboard-write"])
    field = page.locator(f"#{chat}-text")

    def pasted() -> str:
        # The page itself may not read the clipboard.
        field.fill("")
        field.press("ControlOrMeta+v")
        return field.input_value()

    open_chats(page)
    exchange = send(page, chat, "scene:markdown please")
    is_answered(exchange)
    for _ in range(2):
        _tool(exchange, "copy-code").click()
        expect(page.locator(f'#{chat} [data-part="announcer"]')).to_have_text("Copied.")
        assert pasted().strip() == 'queue.put("hello")\nprint(queue.get())'
        _tool(exchange, "copy").click()
        expect(_tool(exchange, "copy")).to_have_attribute("data-icon", "done")
        answer = pasted()
        assert answer.startswith("Queues")
        assert "That is all." in answer
        page.reload()


@EVERY_SIZE
def test_a_new_conversation_begins_in_all_tabs_and_stays_after_a_reload(
    page: Page, visit: BrowserContext, size: tuple[int, int]
) -> None:
    other = visit.new_page()
    for tab in (page, other):
        tab.set_viewport_size({"width": size[0], "height": size[1]})
        open_chats(tab)
        bring_up(tab, "ws-chat")
    anew = page.locator('#ws-chat [data-part="anew"]')
    expect(anew).to_be_hidden()
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(anew).to_be_disabled()
    is_answered(exchange)
    is_answered(other.locator("#ws-chat .exchange"))
    anew.click()
    for tab in (page, other):
        expect(tab.locator("#ws-chat .exchange")).to_have_count(0)
        expect(tab.locator('#ws-chat [data-part="empty"]')).to_be_visible()
    expect(page.locator("#ws-chat-text")).to_be_focused()
    page.reload()
    expect(page.locator(CONNECTION)).to_have_text("Connected")
    expect(page.locator("#ws-chat .exchange")).to_have_count(0)
    is_answered(send(page, "ws-chat", "And now?"))
    expect(page.locator("#ws-chat .exchange")).to_have_count(1)


def test_earlier_messages_are_shown_on_demand_and_what_one_reads_stays_where_it_is(page: Page) -> None:
    open_chats(page)
    # 20 come with the page; a visitor may ask 20 times a minute.
    for number in range(19):
        is_answered(send(page, "ws-chat", f"question {number}"))
    expect(page.locator('#ws-chat [data-part="earlier"]')).to_be_hidden()
    history = f"{page.url.removesuffix('about/')}api/ws-chat/history/"
    # The row of an answer is stored after its end was shown.
    while len(page.request.get(history).json()["exchanges"]) < 19:
        page.wait_for_timeout(50)
    page.route("**/api/ws-chat/history/*", lambda route: route.fulfill(response=route.fetch(url=history)))
    page.evaluate("document.querySelector('#ws-chat [data-part=earlier]').hidden = false")
    first = page.locator("#ws-chat .exchange").first
    first.evaluate("element => element.dataset.mark = 'x'")
    for _ in range(2):
        # What comes before the event of the first scroll leads back to the end once more.
        page.locator('#ws-chat [data-part="earlier"] button').scroll_into_view_if_needed()
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    marked = page.locator('#ws-chat .exchange[data-mark="x"]')
    before = marked.bounding_box()
    page.locator('#ws-chat [data-part="earlier"] button').click()
    expect(page.locator("#ws-chat .exchange")).to_have_count(38)
    after = marked.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2
    expect(page.locator("#ws-chat .exchange").first.locator('[data-part="question"]')).to_have_text("question 0")
    expect(page.locator('#ws-chat [data-part="earlier"]')).to_be_hidden()


def test_a_connection_that_nobody_used_is_paused_calmly_and_comes_back_with_the_next_question(
    page_may_complain: Page,
) -> None:
    page = page_may_complain
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket("**/ws/chat/", connect)
    open_chats(page)
    is_answered(send(page, "ws-chat", "Hello"))
    page.locator("#kafka-chat-text").focus()
    sockets[0].close(code=3008)
    connection = page.locator(CONNECTION)
    expect(connection).to_have_text("Paused, because nobody was here for a while. It goes on when you write")
    page.wait_for_timeout(1500)
    assert len(sockets) == 1
    is_answered(send(page, "ws-chat", "Hello again"))
    expect(connection).to_have_text("Connected")
    assert len(sockets) == 2
    # A question that is sent at once waits for the connection.
    page.locator("#ws-chat-text").fill("And again")
    sockets[1].close(code=3008)
    expect(connection).to_have_text(re.compile("^Paused"))
    page.locator("#ws-chat-text").press("Enter")
    is_answered(page.locator("#ws-chat .exchange").nth(2))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_while_it_grows_an_answer_looks_as_it_will_at_its_end(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    open_chats(page)
    page.evaluate(
        """() => {
          const list = document.querySelector('#ws-chat [data-part="exchanges"]');
          window.heights = [];
          new MutationObserver(() => {
            const exchange = list.lastElementChild;
            const answer = exchange.querySelector('[data-part="answer"]');
            window.heights.push([exchange.dataset.state, answer.scrollHeight, answer.innerText.trim()]);
          }).observe(list, { subtree: true, childList: true, attributes: true, characterData: true });
        }"""
    )
    exchange = send(page, "ws-chat", "scene:markdown please")
    is_answered(exchange)
    seen = page.evaluate("window.heights")
    growing = [each for each in seen if each[0] == "streaming"]
    final = _tool(exchange, "answer").evaluate("element => [element.scrollHeight, element.innerText.trim()]")
    # It never gets smaller, shows no marks, and nothing moves at the end.
    heights = [each[1] for each in growing]
    assert heights == sorted(heights)
    assert not [each[2] for each in growing if re.search(r"\*\*|```|^##|`", each[2])]
    assert (growing[-1][1], growing[-1][2]) == (final[0], final[1])
