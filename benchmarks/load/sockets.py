"""Pages of the WebSocket chat and of the data agent, as light as the benchmark's sockets, which look at each frame."""

import asyncio
import json
import time
from typing import Any

from benchmarks.ws_client import Socket


class Refused(Exception):
    """The server answered with an error, or with an end that is no answer."""


class ChatSocket(Socket):
    """A page of the WebSocket chat: what it shows of the run that it asked for."""

    def __init__(self, host: str, cookie: str) -> None:
        super().__init__(host, cookie)
        self.text, self.first_at, self.ended_at = "", 0.0, 0.0
        self.end: dict[str, Any] = {}

    async def answered(self, text: str, seconds: float) -> None:
        """Ask, and wait for the end. Raises Refused, ConnectionError and TimeoutError."""
        if self.transport.is_closing():
            raise ConnectionError("the connection was lost between two questions")
        self.text, self.first_at = "", 0.0
        self.ended = asyncio.get_running_loop().create_future()
        self.ask(text)
        async with asyncio.timeout(seconds):
            await self.ended
        if self.end["outcome"] != "done":
            raise Refused(f"the run ended as {self.end['outcome']}: {self.end['error']}")

    def _take(self, now: float, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.send(payload, 10)
        # A close is followed by the end of the connection.
        elif opcode == 1:
            self._see(now, json.loads(payload))

    def _see(self, now: float, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "ready" if not self.greeted.done():
                self.greeted.set_result(None)
            case "delta":
                self.first_at = self.first_at or now
                self.text = frame["text"] if frame["restart"] else self.text + frame["text"]
            case "end":
                self.end, self.ended_at = frame, now
                if not self.ended.done():
                    self.ended.set_result(None)
            case "error":
                self._fail(frame)

    def _fail(self, frame: dict[str, Any]) -> None:
        if not self.ended.done():
            self.ended.set_exception(Refused(f"{frame['code']}: {frame['message']}"))


class AgentSocket(ChatSocket):
    """An analyst's page whose person approves whatever is proposed, at once, by the hash on the card."""

    path = "/ws/data-agent/"

    def __init__(self, host: str, cookie: str, session: str | None = None) -> None:
        super().__init__(host, cookie)
        self.session = session
        self._opened = False

    @property
    def where(self) -> dict[str, str]:
        """The part of a frame that names the conversation, where it is known."""
        return {"session": self.session} if self.session else {}

    def data_received(self, data: bytes) -> None:
        """Once the connection is up, ask for a conversation: this page is greeted then."""
        super().data_received(data)
        if self._open and not self._opened:
            self._opened = True
            self.say(type="open", **self.where)

    def ask(self, text: str) -> None:
        """Ask, in the conversation that the first question began."""
        self.asked_at = time.monotonic()
        self.say(type="ask", text=text, **self.where)

    def say(self, **frame: Any) -> None:
        """Send a frame."""
        self.send(json.dumps(frame).encode())

    def _see(self, now: float, frame: dict[str, Any]) -> None:
        if frame["type"] != "step":
            return super()._see(now, frame)
        step = frame["step"]
        self.session = step["session"]
        match step["state"]:
            case "proposed":
                self.first_at = now
                self.say(type="approve", step=step["id"], sha256=step["sha256"])
            case "answered":
                end = {"type": "end", "outcome": "done", "text": step["answer"], "rows": step["rows"]}
                super()._see(now, end | {"step": step["id"]})
            case "approved" | "executed":
                pass
            case state:
                self._fail({"code": state, "message": " ".join([step["error"], *step["reasons"]])})
