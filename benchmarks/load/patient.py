"""Visitors who come back: pages that connect again until they have the end of what they asked for.

Those of the WebSocket chat resume their run; what analysts do is in `benchmarks.load.analysts`.
"""

import asyncio
import json
import random
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from benchmarks.kafka_browser import Browser
from benchmarks.load import mix
from benchmarks.load.sockets import ChatSocket, Refused
from benchmarks.load.visitors import PATIENCE, Crowd, Visitor
from benchmarks.ws_client import connect
from config.embedded.ports import HOST

# Seconds until a page that could not connect tries again, as those of `static/js/socket.js` do.
_AGAIN, _AGAIN_AT_MOST = 0.5, 15.0
LOST = (OSError, TimeoutError, asyncio.IncompleteReadError, Refused)

Page = TypeVar("Page", bound=ChatSocket)


class Pause:
    """A wait that takes twice as long each time, random by a quarter; from the beginning again after `reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with short ones again."""
        self._next = _AGAIN

    async def __call__(self) -> None:
        """Wait."""
        await asyncio.sleep(self._next * random.uniform(0.75, 1.25))
        self._next = min(_AGAIN_AT_MOST, 2 * self._next)


class ComesBack(Visitor, Generic[Page]):
    """A visitor whose page is opened whenever it is needed, each time at another web server."""

    _page: Page | None = None

    async def open(self) -> None:
        """Nothing yet."""

    def cut(self) -> None:
        """Lose the connection, as a page does whose network goes away."""
        if self._page is not None:
            self._page.transport.abort()

    def close(self) -> None:
        """Close the page."""
        if self._page is not None:
            self._page.transport.close()
        self._page = None

    async def _opened(self) -> Page:
        """Return the page, connected."""
        if self._page is None or self._page.transport.is_closing():
            async with self.crowd.opening, asyncio.timeout(PATIENCE):
                self.port = self.crowd.ports[(self.crowd.ports.index(self.port) + 1) % len(self.crowd.ports)]
                self._page = await self._connect()
        return self._page

    @abstractmethod
    async def _connect(self) -> Page:
        """Open the page at `port`."""


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


class PatientVisitor(ComesBack[PatientPage]):
    """A visitor who wants every answer to its end."""

    kind = "websocket"

    def __init__(self, crowd: Crowd, number: int) -> None:
        super().__init__(crowd, number)
        self.asked: list[Asked] = []
        self._cookies = ""

    async def ask(self) -> None:
        """Ask once, and come back until there is an end. Raises TimeoutError."""
        variants = self.crowd.mix.variants
        asked = Asked(self.number * variants + len(self.asked) % variants)
        self.asked.append(asked)
        began, pause = time.monotonic(), Pause()
        async with asyncio.timeout(2 * PATIENCE):
            while not asked.end:
                try:
                    await self._show(asked)
                except LOST:
                    self.close()
                    await pause()
        self.tally.first.append(0.0)
        self.tally.total.append((time.monotonic() - began) * 1000)
        self.tally.completed += 1

    async def _show(self, asked: Asked) -> None:
        before, page = self._page, await self._opened()
        known = {each.run for each in self.asked}
        if page is not before and asked.sends and not asked.run and page.latest and page.latest not in known:
            # The answer had begun, and the word of it was lost with the connection.
            asked.run = page.latest
        page.show(asked)
        async with asyncio.timeout(PATIENCE):
            await page.ended

    async def _connect(self) -> PatientPage:
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
