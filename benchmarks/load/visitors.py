"""One visitor of each kind: opens the page, thinks, asks, compares the answer with the script, and thinks again."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from benchmarks.kafka_browser import HELD, Browser, NotAnswered
from benchmarks.load import mix
from benchmarks.load.mix import Kind, Mix
from benchmarks.load.sockets import AgentSocket, ChatSocket, Refused
from benchmarks.load.tally import Tally, missing
from benchmarks.ws_client import connect
from config.embedded.ports import HOST

# Seconds after which a question counts as failed.
PATIENCE = 60.0
# Pages that are opened at a time: they are not what is measured.
_OPENING = 20
_FAILURES = (Refused, NotAnswered, OSError, asyncio.IncompleteReadError, TimeoutError)


@dataclass
class Crowd:
    """What all visitors have in common. Once `leaving` is set nobody asks any more."""

    mix: Mix
    ports: list[int]
    tallies: dict[Kind, Tally]
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_OPENING))
    present: int = 0

    async def thinks(self, seconds: float) -> bool:
        """Wait so long; return whether the visitor stays."""
        try:
            async with asyncio.timeout(seconds):
                await self.leaving.wait()
        except TimeoutError:
            pass
        return not self.leaving.is_set()


class Visitor(ABC):
    """A visitor with a number, at one of the web servers."""

    kind: Kind
    is_open = False

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd, self.number = crowd, number
        self.port = crowd.ports[number % len(crowd.ports)]
        self.tally = crowd.tallies[self.kind]

    async def stay(self, arrival: float) -> None:
        """Arrive after so many seconds, and ask until everybody leaves."""
        if not await self.crowd.thinks(arrival):
            return
        self.crowd.present += 1
        try:
            # Somewhere in their thoughts, so that the first questions are no burst.
            pause = random.random() * self.crowd.mix.pause()
            while await self.crowd.thinks(pause):
                await self._ask_and_note()
                pause = self.crowd.mix.pause()
        finally:
            self.crowd.present -= 1
            self.close()

    async def _ask_and_note(self) -> None:
        self.tally.asked += 1
        try:
            await self._open()
            await self.ask()
        except _FAILURES as error:
            self.tally.note_failure(f"{type(error).__name__}: {error}")
            # A page that failed is loaded anew for the next question.
            self.close()

    async def _open(self) -> None:
        if not self.is_open:
            async with self.crowd.opening, asyncio.timeout(PATIENCE):
                await self.open()

    @abstractmethod
    async def open(self) -> None:
        """Open the page."""

    @abstractmethod
    async def ask(self) -> None:
        """Ask once, and note the answer."""

    @abstractmethod
    def close(self) -> None:
        """Close the page, if it is open."""


class WebSocketVisitor(Visitor):
    """The right panel."""

    kind = "websocket"
    socket: ChatSocket | None = None
    page: type[ChatSocket] = ChatSocket

    async def open(self) -> None:
        """Load the page for its cookie, and connect."""
        browser = Browser(HOST, self.port)
        try:
            await browser.open_page()
        finally:
            browser.close()
        await self.connect(browser.cookies)

    async def connect(self, cookies: str) -> None:
        """Open the socket."""
        self.socket = await connect(self.port, cookies, self.page)
        self.is_open = True

    async def ask(self) -> None:
        """Ask once, and note the answer: what was streamed, and what the end says."""
        assert self.socket is not None
        await self.socket.answered(mix.question(self.number), PATIENCE)
        self.note(self.crowd.mix.answer(self.number), self.socket.text, self.socket.end["text"])

    def note(self, expected: str, *got: str) -> None:
        """Note an answer of the socket's."""
        assert self.socket is not None
        lost = max(missing(expected, text) for text in got)
        self.tally.note_answer(self.socket.asked_at, self.socket.first_at, self.socket.ended_at, lost)

    def close(self) -> None:
        """Close the socket."""
        self.is_open = False
        if self.socket is not None:
            self.socket.transport.close()
        self.socket = None


class Analyst(WebSocketVisitor):
    """The data agent, signed in."""

    kind = "agent"
    page = AgentSocket

    def __init__(self, crowd: Crowd, number: int, cookies: str) -> None:
        super().__init__(crowd, number)
        self._cookies = cookies
        # The steps whose answers they saw.
        self.steps: list[str] = []

    async def open(self) -> None:
        """Connect; who is signed in has a cookie already."""
        await self.connect(self._cookies)

    async def ask(self) -> None:
        """Ask once, and note the answer: the words and the rows."""
        assert self.socket is not None
        asked, answered = mix.analysis(self.number)
        await self.socket.answered(asked, PATIENCE)
        if self.socket.end["rows"] != mix.rows(self.number):
            raise Refused(f"the rows are {self.socket.end['rows']}")
        self.steps.append(self.socket.end["step"])
        self.note(answered, self.socket.end["text"])


class KafkaVisitor(Visitor):
    """The left panel."""

    kind = "kafka"
    browser: Browser | None = None

    async def open(self) -> None:
        """Load the page."""
        self.browser = Browser(HOST, self.port)
        await self.browser.open_page()
        self.is_open = True

    async def ask(self) -> None:
        """Ask once, and wait with held polls."""
        assert self.browser is not None
        asked_at = time.perf_counter()
        answered = await self.browser.ask(mix.question(self.number), HELD)
        lost = missing(self.crowd.mix.answer(self.number), str(answered.state["response"]))
        self.tally.note_answer(asked_at, answered.first_text, answered.end, lost)

    def close(self) -> None:
        """Close the connections."""
        self.is_open = False
        if self.browser is not None:
            self.browser.close()
        self.browser = None
