"""How far a download has come: in numbers, in a file that other processes read, and on a terminal."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TextIO

from pydantic import BaseModel

_WINDOW_SECONDS = 15.0
_FILE_SECONDS = 0.5
_LINE_SECONDS = 5.0
_BAR_SECONDS = 0.1
_BAR_WIDTH = 24


class Progress(BaseModel):
    """What is known about a download. Amounts are bytes, `rate` is bytes per second, 0 while it is not known.

    `state` is what was last written: a process that was killed leaves "running" behind.
    """

    state: Literal["running", "done", "failed", "interrupted"] = "running"
    phase: Literal["fetching", "checking"] = "fetching"
    pid: int | None = None
    done: int = 0
    total: int = 1
    rate: float = 0
    message: str = ""

    @property
    def percent(self) -> int:
        """How much is done, 100 only when all is."""
        return min(100, 100 * self.done // self.total)

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate, None while that is not known."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def sentence(self) -> str:
        """Say it in one line."""
        if self.phase == "checking":
            return f"{self.percent:3d} %  checking the file"
        amounts = f"{_megabytes(self.done)} of {_megabytes(self.total)} MB"
        left = self.seconds_left
        return f"{self.percent:3d} %  {amounts}" + (f"  {self.rate / 1e6:.1f} MB/s  {_time(left)} left" if left else "")


class Meter:
    """Turns amounts into Progress, with a rate over the last seconds, and tells `hear`."""

    def __init__(self, total: int, hear: Callable[[Progress], None]) -> None:
        self.last = Progress(pid=os.getpid(), total=total)
        self._hear = hear
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int, phase: Literal["fetching", "checking"] = "fetching") -> None:
        """Take note that so many bytes are done."""
        now = time.monotonic()
        if phase != self.last.phase:
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        (since, before), seconds = self._seen[0], now - self._seen[0][0]
        rate = max(0, done - before) / seconds if seconds > 1 and since < now else 0
        self._say(phase=phase, done=min(done, self.last.total), rate=rate)

    def end(self, state: Literal["done", "failed", "interrupted"], message: str) -> None:
        """Take note of the end, with a sentence about it."""
        self._say(state=state, rate=0, message=message)

    def _say(self, **changes: object) -> None:
        self.last = self.last.model_copy(update=changes)
        self._hear(self.last)


class ProgressFile:
    """Writes Progress to a file, a few times a second at most and at the end; never half a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Write, if it is time."""
        now = time.monotonic()
        if progress.state == "running" and now - self._written < _FILE_SECONDS:
            return
        self._written = now
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(progress.model_dump_json())
            beside.replace(self._path)
        except OSError:
            # The disk is full, which is what the download itself is about to find out and to say.
            return

    @staticmethod
    def read(path: Path) -> Progress | None:
        """Return what the file says, None where there is none or it cannot be read."""
        try:
            return Progress.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            return None


class ProgressBar:
    """Shows Progress: a bar that is drawn anew on a terminal, else a line every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._shown = float("-inf")
        self._phase = ""

    def __call__(self, progress: Progress) -> None:
        """Show it, if it is time."""
        now = time.monotonic()
        pause = _BAR_SECONDS if self._terminal else _LINE_SECONDS
        if progress.state == "running" and (now - self._shown >= pause or progress.phase != self._phase):
            self._shown, self._phase = now, progress.phase
            self._write(progress)

    def close(self) -> None:
        """Leave the line of the bar."""
        if self._terminal and self._phase:
            print(file=self._stream, flush=True)

    def _write(self, progress: Progress) -> None:
        if not self._terminal:
            print(progress.sentence(), file=self._stream, flush=True)
            return
        filled = _BAR_WIDTH * progress.percent // 100
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        print(f"\r\x1b[K[{bar}] {progress.sentence()}", end="", file=self._stream, flush=True)


def _megabytes(amount: int) -> str:
    return f"{amount / 1e6:,.0f}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
