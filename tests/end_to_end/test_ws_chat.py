"""The WebSocket chat in a browser: it streams, stops, and loses nothing when connections, servers or machines do."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.end_to_end.chats import EVERY_SIZE, is_answered, open_chats, send
from tests.servers import Up

pytestmark = pytest.mark.browser

WHOLE = "one two three four five six seven eight nine ten"


def _give_sign(page: Page, sign: str) -> None:
    page.evaluate("sign => (sign === 'visibilitychange' ? document : window).dispatchEvent(new Event(sign))", sign)


@EVERY_SIZE
def test_the_websocket_chat_shows_the_answer_while_it_grows_and_stops_on_demand(
    page: Page, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:slow please")
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


def test_the_websocket_chat_resumes_an_answer_after_the_connection_was_lost(page_may_complain: Page) -> None:
    page = page_may_complain
    sockets = []
    page.route_web_socket("**/ws/chat/", lambda socket: sockets.append((socket, socket.connect_to_server())))
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    for end in sockets[0]:
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text("Reconnecting…")
    expect(exchange).to_have_attribute("data-state", "streaming")
    is_answered(exchange)
    assert len(sockets) == 2
    expect(exchange.locator('[data-part="answer"]')).to_have_text(WHOLE)
    expect(page.locator("#ws-chat .exchange")).to_have_count(1)
    is_answered(send(page, "ws-chat", "Hello again"))


@EVERY_SIZE
def test_the_websocket_chat_goes_on_after_a_reload_in_the_middle(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_chats(page)
    answer = send(page, "ws-chat", "scene:slow please").locator('[data-part="answer"]')
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
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    visit.set_offline(True)
    for end in sockets[-1]:
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text("Offline. Reconnecting when the network is back")
    expect(page.locator('#ws-chat [data-part="stop"]')).to_be_disabled()
    expect(exchange).to_have_attribute("data-state", "streaming")
    visit.set_offline(False)
    is_answered(exchange)
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
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    silent = True
    page.wait_for_timeout(500)
    _give_sign(page, sign)
    is_answered(exchange)
    expect(exchange.locator('[data-part="answer"]')).to_have_text(WHOLE)
    assert len(sockets) == 2


def test_attempts_to_connect_have_random_pauses_that_grow_and_signs_of_life_cut_them_short(
    page_may_complain: Page,
) -> None:
    page = page_may_complain
    attempts = []
    away = False

    def connect(socket: WebSocketRoute) -> None:
        attempts.append(socket)
        if away:
            socket.close(code=1001)
        else:
            socket.connect_to_server()

    page.route_web_socket("**/ws/chat/", connect)
    # Only what `Backoff` takes is random: all other times that the page sets are whole milliseconds. Such a pause is
    # over when the test says so.
    page.add_init_script(
        "window.pauses = []; const { setTimeout } = window; window.setTimeout = (work, ms) => {"
        " if (ms % 1 === 0) return setTimeout(work, ms); pauses.push(ms); window.over = work; }"
    )
    open_chats(page)
    away = True
    attempts[0].close(code=1001)
    for number in range(1, 9):
        page.wait_for_function("number => pauses.length === number", arg=number)
        assert len(attempts) == number
        page.evaluate("over()")
    page.wait_for_function("pauses.length === 9")
    pauses = page.evaluate("pauses")
    steps = [min(500 * 2**number, 15_000) for number in range(9)]
    shares = [pause / step for pause, step in zip(pauses, steps, strict=True)]
    assert all(0.75 <= share <= 1.25 for share in shares)
    assert len(set(shares)) == len(shares)
    for number, sign in enumerate(["online", "pageshow", "visibilitychange"], start=10):
        _give_sign(page, sign)
        page.wait_for_function("number => pauses.length === number", arg=number)
        assert len(attempts) == number
        assert page.evaluate("pauses.at(-1)") <= 1.25 * 500
    away = False
    _give_sign(page, "online")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected")


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
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:long please")
    answer = exchange.locator('[data-part="answer"]')
    expect(answer).to_have_text(re.compile("^w0 w1"))
    for end in list(sockets):
        end.close(code=1001)
    connection = page.locator('#ws-chat [data-part="connection"]')
    expect(connection).to_have_text(f"No WebSocket can be had. The answer goes on over {way}", timeout=10_000)
    expect(exchange).to_have_attribute("data-state", "streaming")
    is_answered(exchange)
    expect(answer).to_have_text(" ".join(f"w{number}" for number in range(40)))
    blocked = False
    expect(connection).to_have_text("Connected", timeout=20_000)
    is_answered(send(page, "ws-chat", "Hello again"))


def test_two_tabs_show_the_same_answer_and_either_stops_it(page: Page, visit: BrowserContext) -> None:
    other = visit.new_page()
    open_chats(page)
    open_chats(other)
    send(page, "ws-chat", "scene:lasting please")
    exchanges = [tab.locator("#ws-chat .exchange") for tab in (page, other)]
    for exchange in exchanges:
        expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^w0 w1"))
        expect(exchange.locator('[data-part="question"]')).to_have_text("scene:lasting please")
    expect(other.locator('#ws-chat [data-part="send"]')).to_be_disabled()
    other.locator('#ws-chat [data-part="stop"]').click()
    for exchange in exchanges:
        expect(exchange).to_have_attribute("data-state", "stopped")
    assert len({exchange.locator('[data-part="answer"]').inner_text() for exchange in exchanges}) == 1
    is_answered(send(other, "ws-chat", "And now?"))
    is_answered(page.locator("#ws-chat .exchange").last)


def test_a_restart_of_the_web_server_is_recorded_and_survived(page_may_complain: Page, running: Up) -> None:
    page = page_may_complain
    open_chats(page)
    exchange = send(page, "ws-chat", "scene:slow please")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    (web,) = [process for process in running.family() if "config.serving" in process.cmdline()]
    web.terminate()
    expect(exchange).to_have_attribute("data-state", "interrupted")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Reconnecting…")
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected", timeout=60_000)
    page.reload()
    expect(exchange).to_have_attribute("data-state", "interrupted")
    expect(exchange.locator('[data-part="answer"]')).to_have_text(re.compile("^one two"))
    # Without a connection a question stays in its field.
    expect(page.locator('#ws-chat [data-part="connection"]')).to_have_text("Connected", timeout=60_000)
    is_answered(send(page, "ws-chat", "Hello again"))
