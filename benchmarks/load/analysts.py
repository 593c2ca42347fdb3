"""Analysts who come back: a page that reconnects, opens its conversation, and goes on with the step that is there."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.load import mix
from benchmarks.load.patient import LOST, ComesBack, Pause
from benchmarks.load.sockets import AgentSocket
from benchmarks.load.visitors import PATIENCE, Crowd
from benchmarks.ws_client import connect

# What a process left that died is brought to its end after three minutes (`data_agent.history`).
_MOST = 5 * PATIENCE
_BUSY = ("approved", "executed")


@dataclass
class Analysis:
    """A question of an analyst, and its newest step as the page shows it. `sends` counts how often it was asked."""

    number: int
    # The first steps of questions before this one, which may have the same words.
    before: frozenset[str] = frozenset()
    sends: int = 0
    step: dict[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """What is asked."""
        return mix.analysis(self.number)[0]

    @property
    def is_at_work(self) -> bool:
        """Whether its query runs or is being answered, wherever that is."""
        return bool(self.step) and self.step["state"] in _BUSY

    @property
    def has_ended(self) -> bool:
        """Whether there is an answer or a failure to see: nothing more comes by itself or by an approval."""
        return bool(self.step) and self.step["state"] not in ("proposed", *_BUSY)

    def problems(self) -> Iterator[str]:
        """Yield a line for everything that the page should not have shown."""
        if not self.has_ended:
            yield f"no end, after it was asked {self.sends} times"
        elif self.step["state"] == "answered":
            _, answer = mix.analysis(self.number)
            if self.step["rows"] != mix.rows(self.number):
                yield f"the rows are {self.step['rows']}"
            # Where the page went while the model answered, there is a sentence about the rows instead.
            if self.step["answer_source"] == "model" and self.step["answer"] != answer:
                yield f"the answer is {self.step['answer']!r}"


class AnalystPage(AgentSocket):
    """A page that shows a conversation; what to do about it is its visitor's."""

    def __init__(self, host: str, cookie: str, session: str | None) -> None:
        super().__init__(host, cookie, session)
        self.steps: dict[str, dict[str, Any]] = {}

    async def do(self, **frame: Any) -> None:
        """Send a frame, and wait until there is something to see. Raises Refused, ConnectionError and TimeoutError."""
        if self.transport.is_closing():
            raise ConnectionError("the connection was lost")
        self.ended = asyncio.get_running_loop().create_future()
        self.say(**frame)
        async with asyncio.timeout(PATIENCE):
            await self.ended

    def newest(self, asked: Analysis) -> dict[str, Any]:
        """Return the newest step of a question; nothing where there is none."""
        steps = self.steps.values()
        own = [each for each in steps if each["question"] == asked.question and each["thread"] not in asked.before]
        return max(own, key=lambda step: int(step["number"]), default={})

    def _see(self, now: float, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "error":
                self._fail(frame)
            case "step":
                step = frame["step"]
                self.session, self.steps[step["id"]] = step["session"], step
                if step["state"] not in _BUSY:
                    self._go_on()
            case "ready":
                self.session, self.steps = frame["session"], {step["id"]: step for step in frame["steps"]}
                self._go_on()

    def _go_on(self) -> None:
        for waiting in (self.greeted, self.ended):
            if not waiting.done():
                waiting.set_result(None)


class PatientAnalyst(ComesBack[AnalystPage]):
    """An analyst who approves whatever is proposed, and wants to see what becomes of every question."""

    kind = "agent"

    def __init__(self, crowd: Crowd, number: int, cookies: str) -> None:
        super().__init__(crowd, number)
        self.asked: list[Analysis] = []
        self._cookies = cookies
        self._session: str | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """The newest step of the last question, as the page shows it now; nothing where there is none."""
        return self._page.newest(self.asked[-1]) if self._page and self.asked else {}

    async def ask(self) -> None:
        """Ask once, and come back until there is an answer, or a failure to see. Raises TimeoutError."""
        asked = Analysis(self.number, frozenset(each.step["thread"] for each in self.asked if each.step))
        self.asked.append(asked)
        began, pause = time.monotonic(), Pause()
        async with asyncio.timeout(_MOST):
            while not asked.has_ended:
                try:
                    await self._go_on(asked, pause)
                except LOST:
                    # Refused, too: who is told that something went wrong loads the page again.
                    self.close()
                    await pause()
        self.tally.first.append(0.0)
        self.tally.total.append((time.monotonic() - began) * 1000)
        self.tally.completed += 1
        if asked.step["state"] != "answered":
            self.tally.reasons[f"{asked.step['state']}: {asked.step['error']}"] += 1

    async def _go_on(self, asked: Analysis, pause: Pause) -> None:
        """Do what is next: ask, approve what is proposed, look again at what another page's connection left."""
        page = await self._opened()
        asked.step = page.newest(asked)
        if not asked.step:
            asked.sends += 1
            await page.do(type="ask", text=asked.question, **page.where)
        elif asked.step["state"] == "proposed":
            await page.do(type="approve", step=asked.step["id"], sha256=asked.step["sha256"])
        elif asked.is_at_work:
            await pause()
            await page.do(type="open", **page.where)
        asked.step, self._session = page.newest(asked), page.session
        if not asked.is_at_work:
            pause.reset()

    async def _connect(self) -> AnalystPage:
        page = await connect(self.port, self._cookies, partial(AnalystPage, session=self._session))
        assert isinstance(page, AnalystPage)
        return page
