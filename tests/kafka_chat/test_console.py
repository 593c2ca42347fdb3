"""What a worker shows: to a terminal, and to a file."""

import asyncio
import io
import logging
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import connections

from config.env import BASE_DIR
from kafka_chat.console import Bar, Console, Watch, line_of, table, watch
from kafka_chat.consumption import Consumption
from kafka_chat.models import OPEN, ChatMessage
from kafka_chat.outcomes import Outcome
from kafka_chat.positions import Position
from kafka_chat.worker import Load
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import environment_of_workers, working

ID = uuid.UUID("0199a1b2-c3d4-7e5f-8a9b-00c0ffee1234")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Terminal:
    """A terminal that is 80 characters wide, and what it shows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._master, slave = os.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm")

    def lines(self) -> list[str]:
        """Return the lines that have been shown, as they look now."""
        self.stream.flush()
        os.set_blocking(self._master, False)
        written = b""
        while True:
            try:
                written += os.read(self._master, 65536)
            except BlockingIOError:
                break
        return shown(written.decode())

    def close(self) -> None:
        """Give it back."""
        self.stream.close()
        os.close(self._master)


def shown(written: str) -> list[str]:
    """Return what a terminal shows of this; it understands a return, a new line, and erasing to the end of the line."""
    lines = [""]
    column = 0
    for part in re.findall(r"\x1b\[K|\r|\n|[^\r\n\x1b]+|\x1b.", written):
        if part == "\n":
            lines.append("")
            column = 0
        elif part == "\r":
            column = 0
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return lines


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal."""
    made = Terminal(monkeypatch)
    yield made
    made.close()


def _outcome(**fields: object) -> Outcome:
    values = {
        "message_id": ID,
        "trace_id": uuid.uuid4(),
        "status": "answered",
        "provider": "openai",
        "seconds": 1.234,
        "tokens": 56,
    }
    return Outcome(**(values | fields))  # type: ignore[arg-type]


def test_a_question_s_line_says_when_which_how_by_whom_how_long_and_how_much() -> None:
    assert line_of(_outcome(), "12:34:56") == "12:34:56  ffee1234  answered  openai  1.2 s  56 tokens"
    assert line_of(_outcome(tokens=1), "12:34:56").endswith("  1 token")
    failed = _outcome(status="failed", provider="", tokens=None)
    assert line_of(failed, "12:34:56") == "12:34:56  ffee1234  failed  no provider  1.2 s"


def test_without_a_terminal_there_is_no_control_character() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    with console.keeping_log_lines():
        console.show("answer: 1 in flight")
        console.question(_outcome())
    with Bar(3, err) as bar:
        bar.show(2)
    assert err.getvalue() == ""
    assert CONTROL.search(out.getvalue()) is None
    assert out.getvalue().endswith("answered  openai  1.2 s  56 tokens\n")


def test_a_dumb_terminal_gets_no_status_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    Console(terminal.stream, terminal.stream).show("answer: 1 in flight")
    assert terminal.lines() == [""]


def test_the_status_line_is_rewritten_in_place_and_lines_come_above_it(terminal: Terminal) -> None:
    console = Console(terminal.stream, terminal.stream)
    console.show("the first status, which is longer")
    console.show("the second")
    assert terminal.lines() == ["the second"]
    console.question(_outcome())
    console.show("the third")
    lines = terminal.lines()
    # A new line begins where the status line was: what we read before was read away.
    assert [line.partition("  ")[2] for line in lines[:-1]] == ["ffee1234  answered  openai  1.2 s  56 tokens"]
    assert lines[-1] == "the third"
    console.show("")
    assert terminal.lines() == [""]


def test_a_status_line_never_wraps(terminal: Terminal) -> None:
    console = Console(terminal.stream, terminal.stream)
    console.show("x" * 200)
    assert terminal.lines() == ["x" * 78 + "…"]


def test_log_lines_and_the_status_line_do_not_garble_each_other(terminal: Terminal) -> None:
    handler = logging.StreamHandler(terminal.stream)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        console = Console(terminal.stream, terminal.stream)
        with console.keeping_log_lines():
            console.show("answer: 3 in flight, lag 12, 40/min")
            logging.getLogger("test").warning("a server is away\nand this is the second line")
            console.show("answer: 4 in flight, lag 11, 41/min")
            logging.getLogger("test").warning("it is back")
            assert terminal.lines() == [
                "a server is away",
                "and this is the second line",
                "it is back",
                "answer: 4 in flight, lag 11, 41/min",
            ]
        assert handler.stream is terminal.stream
        logging.getLogger("test").warning("the end")
        assert terminal.lines() == ["the end", ""]
    finally:
        root.removeHandler(handler)


def test_a_terminal_that_is_gone_stops_nobody(terminal: Terminal) -> None:
    console = Console(terminal.stream, terminal.stream)
    console.show("here")
    gone = io.StringIO()
    gone.close()
    console._out = console._err = gone
    console.question(_outcome())
    console.show("there")


def _watch(*lags: int) -> Watch:
    consumption = Consumption(group="g", topic="t", handle=_nothing, concurrency=1, drain_seconds=1)
    watched = Watch(Load("answer", "g", "t", consumption), None)  # type: ignore[arg-type]
    watched.lag = [Position(number, 0, lag, 0) for number, lag in enumerate(lags)]
    return watched


async def _nothing(_: object) -> None:
    """Handle a message."""


async def test_the_status_says_what_is_in_flight_the_lag_and_the_rate() -> None:
    watched = _watch(0, 5, 2)
    for second in range(31):
        watched.load.consumption.done = second * 2
        watched.note(float(second))
    assert watched.line() == "answer: 0 in flight, lag 7 (partition 1: 5), 120/min"
    assert _watch(0, 0, 4).line() == "answer: 0 in flight, lag 4, 0/min"
    unknown = _watch()
    unknown.lag = None
    assert unknown.line() == "answer: 0 in flight, lag unknown, 0/min"


async def test_the_rate_is_that_of_the_last_minute() -> None:
    watched = _watch()
    for second in range(200):
        watched.load.consumption.done = min(second, 100)
        watched.note(float(second))
    assert watched.per_minute() == 0


@pytest.mark.parametrize(
    ("position", "lag"),
    [
        (Position(0, 0, 10, 4), 6),
        (Position(0, 0, 10, None), 10),
        # What the group had not done is not there any more.
        (Position(0, 7, 10, 4), 3),
        # The topic was made anew.
        (Position(0, 0, 10, 50), 0),
    ],
)
def test_the_lag_is_what_the_group_has_not_done_of_what_is_there(position: Position, lag: int) -> None:
    assert position.lag == lag


def test_a_table_has_its_numbers_to_the_right() -> None:
    assert table(("name", "number"), [("a", 5), ("longer", 12)]).splitlines() == [
        "name    number",
        "a            5",
        "longer      12",
    ]


def test_a_bar_says_how_much_of_how_much(terminal: Terminal) -> None:
    with Bar(4, terminal.stream) as bar:
        bar.show(3)
        assert terminal.lines() == ["[" + "#" * 22 + "." * 8 + "] 3 of 4"]
    assert terminal.lines() == [""]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
async def test_a_worker_tells_of_each_question_and_how_it_stands(terminal: Terminal) -> None:
    out = io.StringIO()
    console = Console(out, terminal.stream)
    rows = [await database_sync_to_async(ask_here)(uuid.uuid4(), "a secret") for _ in range(3)]
    async with working(report=console.question) as worker:
        watching = asyncio.create_task(watch(console, worker))
        async with asyncio.timeout(30):
            while await ChatMessage.objects.filter(status__in=OPEN).aexists():
                await asyncio.sleep(0.05)
            status = ""
            # Commits come a second after, and the look at them later.
            while "answer: 0 in flight, lag 0" not in status:
                status = (terminal.lines() or [""])[-1] or status
                await asyncio.sleep(0.1)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    lines = out.getvalue().splitlines()
    assert sorted(line.split("  ")[1] for line in lines) == sorted(row.message_id.hex[-8:] for row in rows)
    assert all(
        re.fullmatch(r"\d\d:\d\d:\d\d  \w{8}  answered  scripted  \d+\.\d s  \d+ tokens", line) for line in lines
    )
    assert "secret" not in out.getvalue()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
async def test_the_command_writes_a_line_for_each_question_into_a_pipe(tmp_path: Path) -> None:
    row = await database_sync_to_async(ask_here)(uuid.uuid4(), "a secret")
    with (tmp_path / "err").open("wb") as err, (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "kafka_worker", "--concurrency", "2", "--heartbeat", str(tmp_path / "sign")],
            cwd=BASE_DIR,
            env=environment_of_workers(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(40):
            while not (tmp_path / "out").read_bytes() and process.poll() is None:
                await asyncio.sleep(0.1)
        look = [sys.executable, "-m", "kafka_chat.heartbeat", str(tmp_path / "sign")]
        assert (await asyncio.to_thread(subprocess.run, look, cwd=BASE_DIR, timeout=30)).returncode == 0
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 30)
        await sync_to_async(connections.close_all)()
    written, logged = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    assert code == 0, logged
    assert f"  {row.message_id.hex[-8:]}  answered  scripted  " in written
    assert written.count("\n") == 1
    assert CONTROL.search(written + logged) is None
    assert "secret" not in written + logged
    assert not (tmp_path / "sign").exists()
