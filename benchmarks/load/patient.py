"""Visitors of the WebSocket chat who come back: a page that reconnects and resumes until it has its answer's end."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.kafka_browser import Browser
from benchmarks.load import mix
from benchmarks.load.sockets import ChatSocket, Refused
from benchmarks.load.visitors import PATIENCE, Crowd, Visitor
from benchmarks.ws_client import connect
from config.embedded.ports import HOST

# Seconds until a page that could not connect tries again.
_AGAIN = 0.5
_LOST = (OSError, TimeoutError, asyncio.IncompleteReadError, Refused)


@dataclass
class Asked:
    """A question, and what the page knows of its run. `sends` counts how often it had to be asked."""

    number: int
    sends: int = 0
    run: str = ""
    text: str = ""
    cursor: int = 0
    end: dict[str, Any] = field(default_factory=dict)
    # What must not happen: a delta that came twice, an end that is not the text before it.
    problems: list[str] = field(default_factory=list)

    @property
    def question(self) -> str:
        """What is asked."""
        return mix.question(self.number)


class PatientPage(ChatSocket):
    """A page that shows the run of one question, wherever it is written."""

    def __init__(self, host: str, cookie: str) -> None:
        super().__init__(host, cookie)
        self.latest: str | None = None
        self.asked: Asked | None = None

    def show(self, asked: Asked) -> None:
        """Resume the run of a question, or ask it; wait for `ended`."""
        self.asked = asked
        self.ended = asyncio.get_running_loop().create_future()
        if self.transport.is_closing():
            raise ConnectionError("the connection was lost")
        if asked.run:
            self.send(json.dumps({"type": "resume", "run": asked.run, "after": asked.cursor}).encode())
        else:
            asked.sends += 1
            self.asked_at = time.monotonic()
            self.ask(asked.question)

    def _see(self, now: float, frame: dict[str, Any]) -> None:
        asked = self.asked
        if frame["type"] == "ready":
            self.latest = frame["run"]
        elif asked is None:
            return
        elif frame["type"] == "started" and not asked.run and frame["question"] == asked.question:
            asked.run = frame["run"]
        elif frame["type"] in ("delta", "end"):
            if frame["run"] != asked.run:
                # Of a run that the visitor began before, and that ends now.
                return
            self._note(asked, frame)
        super()._see(now, frame)

    def _note(self, asked: Asked, frame: dict[str, Any]) -> None:
        if frame["type"] == "end":
            asked.end = frame
        elif frame["seq"] <= asked.cursor:
            asked.problems.append(f"delta {frame['seq']} came after {asked.cursor}")
        else:
            asked.text = frame["text"] if frame["restart"] else asked.text + frame["text"]
            asked.cursor = frame["seq"]


class PatientVisitor(Visitor):
    """A visitor who wants every answer to its end."""

    kind = "websocket"

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__(crowd, number)
        self.asked: list[Asked] = []
        self._page: PatientPage | None = None
        self._cookies = ""

    async def open(self) -> None:
        """Nothing: the page is opened whenever it is needed."""

    async def ask(self) -> None:
        """Ask once, and come back until there is an end. Raises TimeoutError."""
        variants = self.crowd.mix.variants
        asked = Asked(self.number * variants + len(self.asked) % variants)
        self.asked.append(asked)
        began = time.monotonic()
        async with asyncio.timeout(2 * PATIENCE):
            while not asked.end:
                try:
                    await self._show(asked)
                except _LOST:
                    self.close()
                    await asyncio.sleep(_AGAIN)
        self.tally.first.append(0.0)
        self.tally.total.append((time.monotonic() - began) * 1000)
        self.tally.completed += 1

    def cut(self) -> None:
        """Lose the connection, as a page does whose network goes away."""
        if self._page is not None:
            self._page.transport.abort()

    def close(self) -> None:
        """Close the page."""
        if self._page is not None:
            self._page.transport.close()
        self._page = None

    async def _show(self, asked: Asked) -> None:
        if self._page is None or self._page.transport.is_closing():
            self._page = await self._connect()
            known = {each.run for each in self.asked}
            if asked.sends and not asked.run and self._page.latest and self._page.latest not in known:
                # The answer had begun, and the word of it was lost with the connection.
                asked.run = self._page.latest
        self._page.show(asked)
        async with asyncio.timeout(PATIENCE):
            await self._page.ended

    async def _connect(self) -> PatientPage:
        async with self.crowd.opening, asyncio.timeout(PATIENCE):
            # Another web server each time: a run belongs to none.
            self.port = self.crowd.ports[(self.crowd.ports.index(self.port) + 1) % len(self.crowd.ports)]
            if not self._cookies:
                browser = Browser(HOST, self.port)
                try:
                    await browser.open_page()
                    self._cookies = browser.cookies
                finally:
                    browser.close()
            page = await connect(self.port, self._cookies, PatientPage)
            assert isinstance(page, PatientPage)
            return page
