"""What a worker shows to people: a line for each question, and on a terminal a line that says how things stand.

That last line is rewritten in place, on standard error. Whatever else is written to the terminal meanwhile, log lines
too, takes its place, and it follows below. Without a terminal there is no such line, and no control character.
"""

import asyncio
import logging
import os
import shutil
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from confluent_kafka import Consumer, KafkaException
from django.utils import timezone

from kafka_chat import positions
from kafka_chat.outcomes import Outcome
from kafka_chat.positions import Position
from kafka_chat.worker import Load, Worker

# Seconds between two looks at what is in flight, and at the broker.
_REDRAW_EVERY = 0.5
_LAG_EVERY = 2.0
# The rate is that of the last minute; sooner after the start it is extrapolated from what there is.
_MINUTE = 60.0
_ERASE = "\r\x1b[K"


class Console:
    """The terminal of one worker, or the file that its output goes to."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.live = self._err.isatty() and os.environ.get("TERM") != "dumb"
        self._status = ""
        # Log lines come from any thread.
        self._lock = threading.RLock()

    def question(self, outcome: Outcome) -> None:
        """Write the line of a question."""
        self._write(self._out, line_of(outcome, f"{timezone.now():%H:%M:%S}") + "\n")

    def show(self, status: str) -> None:
        """Write the line that says how things stand in the place of the one before; an empty one takes it away."""
        if not self.live:
            return
        # A line that wraps could not be rewritten.
        width = shutil.get_terminal_size().columns - 1
        with self._lock:
            self._status = status if len(status) <= width else status[: width - 1] + "…"
            self._put(self._err, _ERASE + self._status)

    @contextmanager
    def keeping_log_lines(self) -> Iterator[None]:
        """Have log lines written around the status line, while it lasts."""
        handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream.isatty()
        ]
        streams = [handler.stream for handler in handlers]
        if self.live:
            for handler in handlers:
                handler.setStream(_Around(self, handler.stream))
        try:
            yield
        finally:
            self.show("")
            for handler, stream in zip(handlers, streams, strict=True):
                handler.setStream(stream)

    def _write(self, stream: TextIO, text: str) -> None:
        with self._lock:
            around = bool(self._status) and _is_terminal(stream)
            if around:
                self._put(self._err, _ERASE)
            self._put(stream, text)
            if around:
                self._put(self._err, self._status)

    def _put(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):
            # The terminal is gone; the work goes on.
            return


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        # It has been closed.
        return False


class _Around:
    """A stream for log lines, which erases the status line before them and writes it again behind them."""

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console = console
        self._stream = stream

    def write(self, text: str) -> int:
        self._console._write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return True


def line_of(outcome: Outcome, time: str) -> str:
    """Return the line of a question: time, the end of its id (ids of one moment begin alike), and what came of it."""
    parts = [time, outcome.message_id.hex[-8:], outcome.status, outcome.provider or "no provider"]
    parts.append(f"{outcome.seconds:.1f} s")
    if outcome.tokens is not None:
        parts.append("1 token" if outcome.tokens == 1 else f"{outcome.tokens} tokens")
    return "  ".join(parts)


@dataclass(slots=True)
class Watch:
    """How one consuming role is getting on."""

    load: Load
    bystander: Consumer
    lag: list[Position] | None = None
    _done: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float) -> None:
        """Look at what is done by now (seconds of a clock that only goes on)."""
        self._done.append((now, self.load.consumption.done))
        while now - self._done[0][0] > _MINUTE:
            self._done.popleft()

    def per_minute(self) -> int:
        """Return the rate of what is done."""
        if not self._done:
            return 0
        (begin, before), (end, after) = self._done[0], self._done[-1]
        return round((after - before) * _MINUTE / (end - begin)) if end > begin else 0

    def line(self) -> str:
        """Return it in words."""
        in_flight = self.load.consumption.in_flight
        return f"{self.load.role}: {in_flight} in flight, {self._lag()}, {self.per_minute()}/min"

    def _lag(self) -> str:
        if self.lag is None:
            return "lag unknown"
        total = sum(position.lag for position in self.lag)
        worst = max(self.lag, key=lambda position: position.lag, default=None)
        if worst is None or not worst.lag or worst.lag == total:
            return f"lag {total}"
        return f"lag {total} (partition {worst.partition}: {worst.lag})"


async def watch(console: Console, worker: Worker) -> None:
    """Keep the status line up to date until cancelled."""
    watches: list[Watch] = []
    now = asyncio.get_running_loop().time
    look_at = 0.0
    with ExitStack() as stack:
        while True:
            # They begin once the broker is there.
            for load in worker.loads[len(watches) :]:
                watches.append(Watch(load, stack.enter_context(positions.bystander(load.group))))
            if now() >= look_at:
                for each in watches:
                    each.lag = await asyncio.to_thread(_lag, each)
                look_at = now() + _LAG_EVERY
            for each in watches:
                each.note(now())
            console.show(" · ".join(each.line() for each in watches) or "no topic is read")
            await asyncio.sleep(_REDRAW_EVERY)


def _lag(watched: Watch) -> list[Position] | None:
    try:
        return positions.of(watched.bystander, watched.load.topic)
    except KafkaException:
        return None


class Bar:
    """A progress bar on standard error, where that is a terminal."""

    _WIDTH = 30

    def __init__(self, total: int, err: TextIO | None = None) -> None:
        self._total = total
        self._console = Console(err=err)

    def __enter__(self) -> "Bar":
        self.show(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._console.show("")

    def show(self, done: int) -> None:
        """Say how much is done."""
        filled = self._WIDTH * min(done, self._total) // max(self._total, 1)
        self._console.show(f"[{'#' * filled}{'.' * (self._WIDTH - filled)}] {done} of {self._total}")


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of plain text; numbers stand to the right."""
    cells = [list(names), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    numeric = [all(isinstance(row[column], int) for row in rows) for column in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    )
