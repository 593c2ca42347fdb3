import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, WebSocketRoute, expect

from tests.servers import Up

pytestmark = pytest.mark.browser

CHATS = ("kafka-chat", "ws-chat")
EVERY_CHAT = pytest.mark.parametrize("chat", CHATS)


def _open(page: Page) -> None:
    page.goto("/about/")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")


def _send(page: Page, chat: str, text: str) -> Locator:
    """Send a message; return the exchange that it began."""
    exchanges = page.locator(f"#{chat} .exchange")
    before = exchanges.count()
    field = page.locator(f"#{chat}-text")
    field.fill(text)
    field.press("Enter")
    expect(exchanges).to_have_count(before + 1)
    return exchanges.last


def _answered(exchange: Locator) -> None:
    expect(exchange).to_have_attribute("data-state", "answered", timeout=20_000)


@EVERY_CHAT
def test_a_question_is_answered_and_is_there_after_a_reload(page: Page, chat: str) -> None:
    _open(page)
    exchange = _send(page, chat, "What is an outbox?")
    _answered(exchange)
    for _ in range(2):
        expect(exchange.locator('[data-part="question"]')).to_have_text("What is an outbox?")
        expect(exchange.locator('[data-part="answer"]')).to_contain_text("You said: What is an outbox?")
        expect(exchange.locator('[data-part="footnote"]')).to_have_text(
            re.compile(r"^scripted · script · first token \d.* · \d.* in all$")
        )
        expect(page.locator(f"#{chat}-text")).to_have_value("")
        page.reload()
    expect(page.locator(f"#{chat} .exchange")).to_have_count(1)


def test_the_kafka_chat_says_that_it_works_on_it(page: Page) -> None:
    _open(page)
    exchange = _send(page, "kafka-chat", "scene:slow please")
    expect(exchange).to_have_attribute("data-state", "pending")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("Processing…|A worker is answering…"))
    page.reload()
    exchange = page.locator("#kafka-chat .exchange").last
    _answered(exchange)
    expect(exchange.locator('[data-part="answer"]')).to_have_text("one two three four five six seven eight nine ten")


def test_the_kafka_chat_stops_on_demand_and_goes_on_with_the_next_question(page: Page) -> None:
    _open(page)
    stop = page.locator('#kafka-chat [data-part="stop"]')
    expect(stop).to_be_hidden()
    for text in ("scene:slow please", "And now?"):
        _send(page, "kafka-chat", text)
    exchange, following = page.locator("#kafka-chat .exchange").all()
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("Processing…|A worker is answering…"))
    page.wait_for_timeout(800)
    stop.click()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(exchange.locator('[data-part="answer"]')).not_to_contain_text("ten")
    _answered(following)
    expect(stop).to_be_hidden()
    expect(page.locator('#kafka-chat [data-part="connection"]')).to_have_text("Ready")
    page.reload()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(exchange.locator('[data-part="note"]')).to_have_text("Stopped by you.")


def test_many_open_questions_are_in_nobody_s_way(page: Page) -> None:
    _open(page)
    for number in range(8):
        _send(page, "kafka-chat", f"question {number}, scene:slow")
    for exchange in page.locator("#kafka-chat .exchange").all():
        expect(exchange).not_to_have_attribute("data-state", "answered")
        page.locator('#kafka-chat [data-part="stop"]').click()
        expect(exchange).to_have_attribute("data-state", "stopped")


def test_the_websocket_chat_shows_the_answer_while_it_grows_and_stops_on_demand(page: Page) -> None:
    _open(page)
    exchange = _send(page, "ws-chat", "scene:slow please")
    answer = exchange.locator('[data-part="answer"]')
    expect(answer).to_have_text(re.compile("^one two"))
    expect(exchange).to_have_attribute("data-state", "streaming")
    expect(page.locator('#ws-chat [data-part="send"]')).to_be_disabled()
    page.locator('#ws-chat [data-part="stop"]').click()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(exchange.locator('[data-part="note"]')).to_have_text("Stopped by you.")
    stopped = answer.inner_text()
    assert "ten" not in stopped
    page.reload()
    expect(answer).to_have_text(stopped)
    expect(exchange.locator('[data-part="note"]')).to_have_text("Stopped by you.")


@EVERY_CHAT
def test_an_empty_message_is_refused_in_words(page: Page, chat: str) -> None:
    _open(page)
    page.locator(f'#{chat} [data-part="send"]').click()
    expect(page.locator(f'#{chat} [data-part="refusal"]')).to_have_text("The message is empty. Please write something.")
    page.locator(f"#{chat}-text").fill("a" * 4001)
    expect(page.locator(f'#{chat} [data-part="counter"]')).to_have_text("4,001 of 4,000")
    page.locator(f"#{chat}-text").press("Enter")
    expect(page.locator(f'#{chat} [data-part="refusal"]')).to_contain_text("more than 4,000 characters")
    expect(page.locator(f"#{chat}-text")).to_have_value("a" * 4001)
    expect(page.locator(f"#{chat} .exchange")).to_have_count(0)


@EVERY_CHAT
def test_markup_is_shown_as_text(page: Page, chat: str) -> None:
    hostile = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    _open(page)
    exchange = _send(page, chat, hostile)
    _answered(exchange)
    for _ in range(2):
        expect(exchange.locator('[data-part="question"]')).to_have_text(hostile)
        expect(exchange.locator('[data-part="answer"]')).to_contain_text("<script>")
        expect(exchange.locator("img, script")).to_have_count(0)
        expect(page).to_have_title("About · Triptych")
        page.reload()


@EVERY_CHAT
def test_a_model_that_fails_is_said_with_what_to_do(page: Page, chat: str) -> None:
    _open(page)
    exchange = _send(page, chat, "scene:cut please")
    expect(exchange).to_have_attribute("data-state", "failed", timeout=20_000)
    for _ in range(2):
        expect(exchange.locator('[data-part="note"]')).to_have_text("The answer broke off. Please ask again.")
        page.reload()


@EVERY_CHAT
def test_a_draft_survives_a_reload_and_shift_enter_makes_a_line(page: Page, chat: str) -> None:
    _open(page)
    field = page.locator(f"#{chat}-text")
    field.press_sequentially("two")
    field.press("Shift+Enter")
    field.press_sequentially("lines")
    expect(field).to_have_value("two\nlines")
    page.reload()
    expect(field).to_have_value("two\nlines")
    expect(page.locator(f"#{chat} .exchange")).to_have_count(0)


def test_a_server_that_cannot_be_reached_costs_no_text(page_may_complain: Page, visit: BrowserContext) -> None:
    page = page_may_complain
    _open(page)
    visit.set_offline(True)
    field = page.locator("#kafka-chat-text")
    field.fill("Are you there?")
    field.press("Enter")
    expect(page.locator('#kafka-chat [data-part="refusal"]')).to_contain_text("cannot be reached")
    expect(field).to_have_value("Are you there?")
    visit.set_offline(False)
    field.press("Enter")
    _answered(page.locator("#kafka-chat .exchange").last)
    expect(field).to_have_value("")


WHOLE = "one two three four five six seven eight nine ten"


def test_the_websocket_chat_resumes_an_answer_after_the_connection_was_lost(page_may_complain: Page) -> None:
    page = page_may_complain
    sockets = []
    page.route_web_socket("**/ws/chat/", lambda socket: sockets.append((socket, socket.connect_to_server())))
    _open(page)
    exchange = _send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    for end in sockets[0]:
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text("Reconnecting…")
    expect(exchange).to_have_attribute("data-state", "streaming")
    _answered(exchange)
    assert len(sockets) == 2
    expect(exchange.locator('[data-part="answer"]')).to_have_text(WHOLE)
    expect(page.locator("#ws-chat .exchange")).to_have_count(1)
    _answered(_send(page, "ws-chat", "Hello again"))


def test_the_websocket_chat_goes_on_after_a_reload_in_the_middle(page: Page) -> None:
    _open(page)
    answer = _send(page, "ws-chat", "scene:slow please").locator('[data-part="answer"]')
    expect(answer).to_have_text(re.compile("^one two"))
    page.reload()
    exchange = page.locator("#ws-chat .exchange")
    expect(exchange).to_have_attribute("data-state", "streaming")
    expect(exchange.locator('[data-part="question"]')).to_have_text("scene:slow please")
    expect(answer).to_have_text(re.compile("^one two three"))
    expect(page.locator('#ws-chat [data-part="send"]')).to_be_disabled()
    page.locator('#ws-chat [data-part="stop"]').click()
    expect(exchange).to_have_attribute("data-state", "stopped")
    expect(page.locator('#ws-chat [data-part="stop"]')).to_be_hidden()
    stopped = answer.inner_text()
    assert WHOLE.startswith(stopped)
    page.reload()
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")
    expect(exchange).to_have_count(1)
    expect(answer).to_have_text(stopped)


def test_the_websocket_chat_survives_going_offline_in_the_middle(
    page_may_complain: Page, visit: BrowserContext
) -> None:
    page = page_may_complain
    sockets = []
    page.route_web_socket("**/ws/chat/", lambda socket: sockets.append((socket, socket.connect_to_server())))
    _open(page)
    exchange = _send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    visit.set_offline(True)
    for end in sockets[-1]:
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text("Offline. Reconnecting when the network is back")
    expect(page.locator('#ws-chat [data-part="stop"]')).to_be_disabled()
    expect(exchange).to_have_attribute("data-state", "streaming")
    visit.set_offline(False)
    _answered(exchange)
    expect(exchange.locator('[data-part="answer"]')).to_have_text(WHOLE)
    expect(connection).to_have_text("Connected")


@pytest.mark.parametrize("sign", ["online", "pageshow", "visibilitychange"])
def test_a_connection_that_died_while_the_machine_slept_is_replaced(page_may_complain: Page, sign: str) -> None:
    page = page_may_complain
    sockets: list[WebSocketRoute] = []
    silent = False

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        number = len(sockets)
        server = socket.connect_to_server()
        server.on_message(lambda message: None if silent and number == 1 else socket.send(message))

    page.route_web_socket("**/ws/chat/", connect)
    _open(page)
    exchange = _send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    silent = True
    page.wait_for_timeout(500)
    page.evaluate(
        "sign => (sign === 'visibilitychange' ? document : window).dispatchEvent(new Event(sign))",
        sign,
    )
    _answered(exchange)
    expect(exchange.locator('[data-part="answer"]')).to_have_text(WHOLE)
    assert len(sockets) == 2


@pytest.mark.parametrize("way", ["server-sent events", "polling"])
def test_an_answer_goes_on_where_no_websocket_can_be_had(page_may_complain: Page, way: str) -> None:
    page = page_may_complain
    sockets: list[WebSocketRoute] = []
    blocked = True

    def connect(socket: WebSocketRoute) -> None:
        if sockets and blocked:
            socket.close(code=1001)
            return
        sockets.append(socket)
        sockets.append(socket.connect_to_server())

    page.route_web_socket("**/ws/chat/", connect)
    if way == "polling":
        page.route("**/api/ws-chat/*/events/*", lambda route: route.abort())
    _open(page)
    exchange = _send(page, "ws-chat", "scene:long please")
    answer = exchange.locator('[data-part="answer"]')
    expect(answer).to_have_text(re.compile("^w0 w1"))
    for end in list(sockets):
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text(f"No WebSocket can be had. The answer goes on over {way}", timeout=10_000)
    expect(exchange).to_have_attribute("data-state", "streaming")
    _answered(exchange)
    expect(answer).to_have_text(" ".join(f"w{number}" for number in range(40)))
    blocked = False
    expect(connection).to_have_text("Connected", timeout=20_000)
    _answered(_send(page, "ws-chat", "Hello again"))


def test_two_tabs_show_the_same_answer_and_either_stops_it(page: Page, visit: BrowserContext) -> None:
    other = visit.new_page()
    _open(page)
    _open(other)
    _send(page, "ws-chat", "scene:slow please")
    exchanges = [tab.locator("#ws-chat .exchange") for tab in (page, other)]
    for exchange in exchanges:
        expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
        expect(exchange.locator('[data-part="question"]')).to_have_text("scene:slow please")
    expect(other.locator('#ws-chat [data-part="send"]')).to_be_disabled()
    other.locator('#ws-chat [data-part="stop"]').click()
    for exchange in exchanges:
        expect(exchange).to_have_attribute("data-state", "stopped")
    assert len({exchange.locator('[data-part="answer"]').inner_text() for exchange in exchanges}) == 1
    _answered(_send(other, "ws-chat", "And now?"))
    _answered(page.locator("#ws-chat .exchange").last)


def test_a_restart_of_the_web_server_is_recorded_and_survived(page_may_complain: Page, running: Up) -> None:
    page = page_may_complain
    _open(page)
    exchange = _send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    (web,) = [process for process in running.family() if "config.serve" in process.cmdline()]
    web.terminate()
    expect(exchange).to_have_attribute("data-state", "interrupted")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Reconnecting…")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected", timeout=20_000)
    page.reload()
    expect(exchange).to_have_attribute("data-state", "interrupted")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    _answered(_send(page, "ws-chat", "Hello again"))


@EVERY_CHAT
def test_suggestions_fill_the_field(page: Page, chat: str) -> None:
    _open(page)
    suggestion = page.locator(f'#{chat} [data-part="suggestion"]').first
    suggestion.click()
    expect(page.locator(f"#{chat}-text")).to_have_value(suggestion.inner_text())
    expect(page.locator(f"#{chat}-text")).to_be_focused()


def test_the_page_fits_a_small_phone_and_does_not_grow_with_the_conversation(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    _open(page)
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    before = page.evaluate(size)
    assert before[0] == 360
    for chat in CHATS * 2:
        _answered(_send(page, chat, "wide " + "x" * 1000))
    assert page.evaluate(size) == before


def test_history_belongs_to_one_visitor(page: Page, visit: BrowserContext) -> None:
    _open(page)
    for chat in CHATS:
        _answered(_send(page, chat, "Only mine"))
    visit.clear_cookies()
    page.reload()
    expect(page.locator(".exchange")).to_have_count(0)
