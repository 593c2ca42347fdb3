"""Web servers in processes of their own, which share one Redis and one database, and pages of a visitor there."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from config.embedded.ports import any_free
from config.env import BASE_DIR, Environment
from config.visitors import COOKIE, make_cookie
from tests.servers import process_environment

_DAPHNE = ("config.serving", "-v", "0", "-b", "127.0.0.1", "-p")
_UVICORN = ("uvicorn", "--log-level", "warning", "--timeout-graceful-shutdown", "5", "--host", "127.0.0.1", "--port")


class Web:
    """One Daphne, as it is run everywhere, or one uvicorn."""

    def __init__(self, log: Path, database: str, *, on_uvicorn: bool = False, **changed: str) -> None:
        self.port = any_free()
        self.log = log
        settings = settings_here()
        settings["DATABASE_URL"] = settings["DATABASE_URL"].rpartition("/")[0] + f"/{database}"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    *(_UVICORN if on_uvicorn else _DAPHNE),
                    str(self.port),
                    "config.asgi:application",
                ],
                cwd=BASE_DIR,
                env=process_environment(settings | changed | {"ENV_FILE": os.devnull}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> Self:
        """Wait until it serves."""
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10):
            return True
        return False

    def page(self, visitor: uuid.UUID) -> "Page":
        """Return a page of a visitor, to be entered."""
        return Page(self.port, visitor)


def settings_here() -> dict[str, str]:
    """Return the settings of the tests themselves, as variables."""
    ours = {name.upper() for name in Environment.model_fields}
    return {name: value for name, value in os.environ.items() if name in ours}


@contextmanager
def web(folder: Path, database: str, *, on_uvicorn: bool = False, **changed: str) -> Iterator[Web]:
    """Run a web server, with some settings changed; kill it at the end, if it still runs."""
    server = Web(folder / f"{uuid.uuid4()}.log", database, on_uvicorn=on_uvicorn, **changed)
    try:
        yield server.wait_until_ready()
    finally:
        server.process.kill()
        server.process.wait(timeout=10)


class Page:
    """What a page of a port does: it keeps the text of the run that it shows, and how far it has come."""

    def __init__(self, port: int, visitor: uuid.UUID) -> None:
        self._connecting = connect(
            f"ws://127.0.0.1:{port}/ws/chat/",
            additional_headers={"Cookie": f"{COOKIE}={make_cookie(visitor)}"},
            origin=f"http://127.0.0.1:{port}",
            max_size=None,
        )
        self.text, self.cursor, self.run, self.question = "", 0, "", ""
        self.end: dict[str, Any] | None = None
        self.latest: str | None = None

    async def __aenter__(self) -> Self:
        self.socket: ClientConnection = await self._connecting.__aenter__()
        ready = await self.frame()
        assert ready["type"] == "ready"
        self.latest = ready["run"]
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self._connecting.__aexit__(*exception)

    async def frame(self, seconds: float = 20) -> dict[str, Any]:
        """Return the next frame."""
        async with asyncio.timeout(seconds):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a frame."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def ask(self, text: str) -> None:
        """Ask, and wait until the question is accepted."""
        await self.send("ask", text=text)
        await self.started()

    async def resume(self, page: "Page") -> None:
        """Go on where another page of the visitor was."""
        self.text, self.cursor, self.run, self.question = page.text, page.cursor, page.run, page.question
        await self.send("resume", run=self.run, after=self.cursor)

    async def started(self) -> None:
        """Read the beginning of a run."""
        frame = await self.frame()
        assert frame["type"] == "started", frame
        self.text, self.cursor, self.run, self.question = "", 0, frame["run"], frame["question"]

    async def read(self, count: int | None = None, seconds: float = 20) -> None:
        """Read so many deltas, or all up to the end."""
        while count is None or count > 0:
            frame = await self.frame(seconds)
            assert frame.get("run") == self.run, frame
            if frame["type"] == "end":
                self.end = frame
                return
            assert frame["type"] == "delta"
            assert frame["seq"] > self.cursor
            self.text = frame["text"] if frame["restart"] else self.text + frame["text"]
            self.cursor = frame["seq"]
            if count is not None:
                count -= 1
