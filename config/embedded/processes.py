"""Run child processes in the foreground, watch them, and leave none behind.

Why not a ready-made process manager: of those on the package index one stops everything when a single child
ends and restarts nothing, one needs a messaging library and a control socket, and one is a daemon with a
configuration file. What is needed here is small.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches only us, and a signal from us
reaches its children too. On Linux the kernel tells a child when we die (prctl(2), PR_SET_PDEATHSIG).
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from config.embedded.errors import ProcessFailed
from config.embedded.probes import NotReady

_LAST_LINES = 20
_LONGEST_LINE = 64 * 1024
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """One foreground process: how it starts, how one sees that it is ready, how it stops.

    `setup` runs before each start, `ready` is asked until it raises nothing, for at most `ready_timeout` seconds.
    The process gets `stop_signal`, and SIGKILL when it is still there `grace` seconds later. `user` is the system
    account it runs as, None for our own. What a `quiet` one writes is shown only when it fails. `instead` takes its
    place when it cannot be started, or fails again and again.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    setup: Callable[[], Awaitable[None]] | None = None
    ready: Callable[[], Awaitable[None]] | None = None
    ready_timeout: float = 30
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10
    user: str | None = None
    quiet: bool = False
    instead: "Program | None" = None


@dataclass(eq=False)
class Child:
    """A program that was started."""

    program: Program
    process: asyncio.subprocess.Process
    started: float = field(default_factory=time.monotonic)
    ran_for: float = 0
    _last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    _end: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, program: Program, on_line: Callable[[str, str], None]) -> Self:
        """Start a program; `on_line` gets its name and each line that it writes. Raises ProcessFailed."""
        # A pipe of our own: asyncio's would keep `wait()` from returning while a grandchild holds it open.
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *program.argv,
                cwd=program.cwd,
                env=program.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                preexec_fn=die_with_parent(program.stop_signal),
                **_account(program.user),
            )
        except OSError as error:
            os.close(read_end)
            raise ProcessFailed(f"{program.name} cannot be started ({error})", []) from None
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        child = cls(program, process)
        child._end = asyncio.create_task(child._follow(read_end, on_line))
        return child

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self.process.pid

    @property
    def last_lines(self) -> list[str]:
        """The last lines it wrote."""
        return list(self._last_lines)

    async def ended(self) -> None:
        """Wait until the process and its group are gone."""
        assert self._end is not None
        await asyncio.shield(self._end)

    def how_it_ended(self) -> str:
        """Say in words how the process ended."""
        code = self.process.returncode or 0
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def stop(self) -> bool:
        """Stop the process in its own way, after `grace` seconds by SIGKILL. Return whether its own way did."""
        self.signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(self.ended(), self.program.grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group, if it still exists."""
        if self._end is not None and self._end.done():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def _follow(self, read_end: int, on_line: Callable[[str, str], None]) -> None:
        reader = asyncio.create_task(self._read(read_end, on_line))
        await self.process.wait()
        self.ran_for = time.monotonic() - self.started
        # What it started and left: without its leader nobody else would stop it.
        self.signal(signal.SIGKILL)
        await asyncio.wait({reader}, timeout=1)
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader

    async def _read(self, read_end: int, on_line: Callable[[str, str], None]) -> None:
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb")
        )
        pending = b""
        try:
            while chunk := await stream.read(_LONGEST_LINE):
                *lines, pending = (pending + chunk).split(b"\n")
                if len(pending) > _LONGEST_LINE:
                    lines, pending = [*lines, pending], b""
                for line in lines:
                    self._write(line, on_line)
        finally:
            if pending:
                self._write(pending, on_line)
            transport.close()

    def _write(self, line: bytes, on_line: Callable[[str, str], None]) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self._last_lines.append(text)
        if not self.program.quiet:
            on_line(self.program.name, text)


def bare_environment() -> dict[str, str]:
    """Return what a server needs of our environment: no secrets, and no settings that it might take for its own."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}


async def until_ready(child: Child) -> None:
    """Wait until the child's program says that it is ready.

    Raises ProcessFailed when it ends before, or is not ready in time; it is stopped then.
    """
    program = child.program
    if program.ready is None:
        return
    deadline = child.started + program.ready_timeout
    ended = asyncio.create_task(child.ended())
    reason = ""
    try:
        while time.monotonic() < deadline and not ended.done():
            try:
                await asyncio.wait_for(program.ready(), timeout=5)
            except (OSError, NotReady) as error:
                reason = str(error)
                await asyncio.wait({ended}, timeout=0.05)
            else:
                return
    finally:
        ended.cancel()
    if child.process.returncode is not None:
        raise ProcessFailed(f"{program.name} {child.how_it_ended()} before it was ready", child.last_lines)
    await child.stop()
    raise ProcessFailed(
        f"{program.name} was not ready after {program.ready_timeout:g} s ({reason or 'no answer'})", child.last_lines
    )


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before its program so that it gets this signal when we die; None where none can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_the_kernel


def _account(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
