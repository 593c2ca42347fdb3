"""Programs are kept running, and stopped without leaving anything behind."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from config.embedded import supervisor
from config.embedded.console import Console
from config.embedded.errors import ProcessFailed
from config.embedded.probes import NotReady
from config.embedded.processes import Child, Program
from config.embedded.supervisor import Supervisor
from config.env import BASE_DIR
from tests.servers import still_running


@pytest.fixture
def output() -> io.StringIO:
    """Return what the supervisor writes its lines to."""
    return io.StringIO()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a second last 20 ms in the waits between two starts."""
    monkeypatch.setattr(supervisor, "FIRST_DELAY", 0.02)
    monkeypatch.setattr(supervisor, "LONGEST_DELAY", 0.08)


def shell(script: str, name: str = "child", **options: object) -> Program:
    return Program(name=name, argv=("sh", "-c", script), cwd=Path("/"), env=os.environ, **options)  # type: ignore[arg-type]


async def until(text: str, output: io.StringIO, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while output.getvalue().count(text) < times:
            await asyncio.sleep(0.01)


async def test_lines_carry_the_name_of_their_process(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    await watched.complete(shell("echo one; echo two >&2; printf three", "web"))
    assert output.getvalue().splitlines() == ["web      | one", "web      | two", "web      | three"]


async def test_lines_that_are_no_text_or_never_end_do_no_harm(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    await watched.complete(shell("printf '\\377\\n'; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last"))
    lines = output.getvalue().splitlines()
    assert lines[0] == "child    | \N{REPLACEMENT CHARACTER}"
    assert sum(line.count("x") for line in lines) == 1_000_000
    assert lines[-1] == "child    | last"


async def test_crashed_program_is_started_again_with_growing_delays(quick: None, output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    await watched.start(shell("echo here; exit 3"))
    await until("here", output, times=5)
    await watched.stop()
    told = [line for line in output.getvalue().splitlines() if "ended" in line]
    assert told[:4] == [
        f"up       | child ended with exit code 3; starting it again in {delay} s."
        for delay in ("0.02", "0.04", "0.08", "0.08")
    ]


async def test_killed_program_is_reported_with_the_signal(quick: None, output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    await watched.start(shell("echo here; kill -KILL $$"))
    await until("ended by SIGKILL", output)
    await watched.stop()


async def test_crash_after_a_long_run_counts_as_the_first(
    quick: None, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STEADY", 0.0)
    watched = Supervisor(Console(output))
    await watched.start(shell("echo here"))
    await until("here", output, times=4)
    await watched.stop()
    assert output.getvalue().count("again in 0.02 s") >= 3


async def test_program_that_cannot_be_started_again_is_tried_until_it_can(
    quick: None, output: io.StringIO, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho here\nsleep 100\n")
    script.chmod(0o755)
    watched = Supervisor(Console(output))
    program = Program(name="child", argv=(str(script),), cwd=tmp_path, env=os.environ)
    await watched.start(program)
    await until("here", output)
    script.rename(tmp_path / "away")
    watched.kill()
    await until("cannot be started", output, times=2)
    (tmp_path / "away").rename(script)
    await until("here", output, times=2)
    await watched.stop()


async def test_program_is_started_when_its_setup_is_done_and_ready_when_it_says_so(output: io.StringIO) -> None:
    steps: list[str] = []

    async def setup() -> None:
        steps.append("setup")

    async def ready() -> None:
        steps.append("asked")
        if steps.count("asked") < 3:
            raise NotReady("not yet")

    watched = Supervisor(Console(output))
    await watched.start(shell("sleep 100", setup=setup, ready=ready))
    assert steps == ["setup", "asked", "asked", "asked"]
    assert "child is ready after" in output.getvalue()
    await watched.stop()


async def test_program_that_ends_before_it_is_ready_fails_with_its_last_lines(output: io.StringIO) -> None:
    async def never() -> None:
        raise NotReady("no")

    watched = Supervisor(Console(output))
    with pytest.raises(ProcessFailed, match=r"child ended with exit code 7 before it was ready.*\n.*disk full"):
        await watched.start(shell("echo disk full; exit 7", ready=never))
    await watched.stop()


async def test_program_that_is_never_ready_fails_and_is_stopped(output: io.StringIO) -> None:
    async def never() -> None:
        raise NotReady("the database is starting up")

    children: list[Child] = []
    watched = Supervisor(Console(output), lambda now: children.extend(now))
    with pytest.raises(ProcessFailed, match=r"not ready after 0.3 s \(the database is starting up\)"):
        await watched.start(shell("sleep 100", ready=never, ready_timeout=0.3))
    assert not psutil.pid_exists(children[0].pid)
    await watched.stop()


async def test_failed_program_stops_the_start_of_the_others(output: io.StringIO) -> None:
    async def never() -> None:
        raise NotReady("no")

    watched = Supervisor(Console(output))
    with pytest.raises(ProcessFailed, match="bad"):
        await watched.start(shell("sleep 100", "slow", ready=never), shell("exit 1", "bad", ready=never))
    slow = _descendants()
    await watched.stop()
    assert still_running(slow, 5) == []


async def test_task_that_fails_says_how(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    with pytest.raises(ProcessFailed, match=r"prepare ended with exit code 2.*\nno such table"):
        await watched.complete(shell("echo no such table; exit 2", "prepare"))


async def test_stages_stop_in_reverse_order(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    for name in ("first", "second", "third"):
        await watched.start(
            shell(f"trap 'echo {name} stops; exit' TERM; echo up {name}; while :; do sleep 0.05; done", name)
        )
        await until(f"up {name}", output)
    await watched.stop()
    stops = [line.split("| ")[1] for line in output.getvalue().splitlines() if line.endswith("stops")]
    assert stops == ["third stops", "second stops", "first stops"]


async def test_program_that_ignores_the_signal_is_killed_after_its_grace(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    await watched.start(shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done", grace=0.3))
    await until("deaf", output)
    family = _descendants()
    before = time.monotonic()
    await watched.stop()
    assert 0.2 < time.monotonic() - before < 3
    assert "did not stop within 0.3 s" in output.getvalue()
    assert still_running(family, 2) == []


async def test_grandchildren_are_stopped_too(output: io.StringIO) -> None:
    groups: list[int] = []
    watched = Supervisor(Console(output), lambda children: groups.extend(child.pid for child in children))
    # One that is deaf, and one whose parent leaves before it, so that it is nobody's child any more.
    await watched.start(shell("(trap '' TERM; sleep 100) & (sleep 100 &) ; echo up; wait"))
    await until("up\n", output)
    await asyncio.sleep(0.2)
    family = [process for process in psutil.process_iter() if os.getpgid(process.pid) == groups[0]]
    assert len(family) >= 3
    await watched.stop()
    assert still_running(family, 2) == []


async def test_record_of_children_follows_every_change(quick: None, output: io.StringIO) -> None:
    seen: list[list[int]] = []

    def record(children: Iterable[Child]) -> None:
        seen.append([child.pid for child in children])

    watched = Supervisor(Console(output), record)
    await watched.start(shell("sleep 100"))
    watched.kill()
    await until("was started", output, times=2)
    await watched.stop()
    (first,), (second,), nothing = seen
    assert first != second
    assert nothing == []


# Two programs with grandchildren, under a supervisor in a process of its own.
_SUPERVISED = """
import asyncio, os, signal, sys
from pathlib import Path
from config.embedded.console import Console
from config.embedded.processes import Program
from config.embedded.supervisor import Supervisor

# Also where the tests were started with `nohup`, or in the background of a script.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    watched = Supervisor(Console())
    def program(name, script):
        return Program(name=name, argv=("sh", "-c", script), cwd=Path("/"), env=os.environ, grace=float(sys.argv[1]))
    async def work():
        await watched.start(program("one", "trap 'exit 0' TERM; while :; do sleep 0.05; done"))
        await watched.start(program("two", sys.argv[2]))
        print("everything runs", flush=True)
        await asyncio.Event().wait()
    await watched.run(work())

asyncio.run(main())
"""


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, grace: float = 10, script: str = "sleep 100 & sleep 100 & wait") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SUPERVISED, str(grace), script],
            cwd=BASE_DIR,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        while "everything runs" not in self.process.stdout.readline():
            assert self.process.poll() is None
        time.sleep(0.2)
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        assert len(self.family) >= 2

    def end(self, *signals: signal.Signals, pause: float = 0.0) -> int:
        """Send signals, and return the exit code."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(pause)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_everything(number: signal.Signals) -> None:
    supervised = Supervised()
    assert supervised.end(number) == 0
    assert still_running(supervised.family, 1) == []


def test_second_interrupt_kills_at_once() -> None:
    supervised = Supervised(grace=60, script="trap '' TERM; while :; do sleep 0.1; done")
    before = time.monotonic()
    assert supervised.end(signal.SIGINT, signal.SIGINT, pause=0.8) == 0
    assert time.monotonic() - before < 10
    assert still_running(supervised.family, 1) == []


def test_one_request_that_arrives_twice_is_no_second_one() -> None:
    supervised = Supervised(script="trap 'sleep 0.3; echo in good order; exit' TERM; while :; do sleep 0.05; done")
    for _ in range(2):
        supervised.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    output, _ = supervised.process.communicate(timeout=20)
    assert "in good order" in output


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has died")
def test_killed_supervisor_takes_its_children_with_it() -> None:
    supervised = Supervised(script="exec sleep 100")
    supervised.end(signal.SIGKILL)
    assert still_running(supervised.family, 5) == []


def _descendants() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.name() in {"sh", "sleep"}]


async def test_program_that_cannot_be_started_is_replaced(output: io.StringIO) -> None:
    watched = Supervisor(Console(output))
    replacement = shell("echo replaced; sleep 60")
    await watched.start(shell("exit 3", ready=never, instead=replacement))
    try:
        await until("replaced", output)
        assert watched.program("child") is replacement
        assert "child ended with exit code 3 before it was ready; using its replacement." in output.getvalue()
    finally:
        await watched.stop()


async def test_program_that_ends_again_and_again_is_replaced_and_not_before(output: io.StringIO, quick: None) -> None:
    watched = Supervisor(Console(output))
    await watched.start(shell("echo tried; exit 1", instead=shell("echo replaced; sleep 60")))
    try:
        await until("replaced", output)
        assert output.getvalue().count("tried") == 3
        assert output.getvalue().count("; starting it again in") == 2
        assert output.getvalue().count("; starting its replacement in") == 1
    finally:
        await watched.stop()


async def never() -> None:
    raise NotReady
