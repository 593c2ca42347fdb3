"""Keep programs running: start them in stages, start again what ends, stop all in reverse order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from config.embedded.console import Console
from config.embedded.errors import ProcessFailed
from config.embedded.processes import Child, Program, until_ready

FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
# A program that ran for so many seconds was well: its next crash counts as its first.
STEADY = 30.0
# A program whose restarts have to wait so many times the first delay, which is the third time in a row, is replaced.
_PATIENCE = 4
# Two stop signals closer together than this are one: a terminal, `make` and `timeout` may each send theirs.
_SAME_REQUEST = 0.5


class Supervisor:
    """Runs programs until it is told to stop; `changed` hears of every change in the children."""

    def __init__(self, console: Console, changed: Callable[[Iterable[Child]], None] = lambda children: None) -> None:
        self.console = console
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._stages: list[tuple[str, ...]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._stop_requested: float | None = None

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` until it ends or SIGINT, SIGTERM or SIGHUP arrives; then stop all programs.

        A second SIGINT kills them. What `work` raises is raised after everything has stopped.
        """
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal, number, task)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            await self.stop()

    async def start(self, *programs: Program) -> None:
        """Start a stage: these programs side by side. Return when all are ready; from then on they are kept running.

        Raises ProcessFailed.
        """
        self._stages.append(tuple(program.name for program in programs))
        starts = [asyncio.create_task(self._bring_up_or_replace(program)) for program in programs]
        try:
            children = await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            raise
        self._keepers += [asyncio.create_task(self._keep(child)) for child in children]

    def program(self, name: str) -> Program:
        """Return the program that runs under this name: the one that was started, or the one that replaced it."""
        return self._children[name].program

    async def complete(self, program: Program) -> None:
        """Run a program to its end. Raises ProcessFailed when it fails."""
        child = await self._spawn(program)
        try:
            await child.ended()
        finally:
            await child.stop()
            self._children.pop(program.name, None)
            self._changed(self._children.values())
        if child.process.returncode:
            raise ProcessFailed(f"{program.name} {child.how_it_ended()}", child.last_lines)

    async def stop(self) -> None:
        """Stop all programs, the last stage first."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        for stage in reversed(self._stages):
            children = [self._children[name] for name in stage if name in self._children]
            await asyncio.gather(*(self._stop_one(child) for child in children))
        self._children.clear()
        self._stages.clear()
        self._changed(())

    def kill(self) -> None:
        """Kill all programs at once."""
        for child in self._children.values():
            child.signal(signal.SIGKILL)

    def _on_signal(self, number: signal.Signals, work: asyncio.Task[None]) -> None:
        now = time.monotonic()
        if self._stop_requested is None:
            self._stop_requested = now
            self.console.say("Stopping; Ctrl-C again stops at once.")
            work.cancel()
        elif number == signal.SIGINT and now - self._stop_requested > _SAME_REQUEST:
            self.console.say("Stopping at once.")
            self.kill()

    async def _spawn(self, program: Program) -> Child:
        child = await Child.start(program, self.console.line)
        self._children[program.name] = child
        self._changed(self._children.values())
        return child

    async def _bring_up(self, program: Program) -> Child:
        before = time.monotonic()
        if program.setup is not None:
            await program.setup()
        child = await self._spawn(program)
        await until_ready(child)
        ready = f"is ready after {time.monotonic() - before:.1f} s" if program.ready else "was started"
        self.console.say(f"{program.name} {ready}.")
        return child

    async def _bring_up_or_replace(self, program: Program) -> Child:
        try:
            return await self._bring_up(program)
        except ProcessFailed as error:
            if program.instead is None:
                raise
            self.console.say(f"{error.summary}; using its replacement.")
            return await self._bring_up(program.instead)

    async def _keep(self, child: Child) -> None:
        delay = 0.0
        while True:
            await child.ended()
            program = child.program
            delay = FIRST_DELAY if child.ran_for >= STEADY else _longer(delay)
            replaced = self._replacement(program, delay)
            what = "starting its replacement" if replaced else "starting it again"
            self.console.say(f"{program.name} {child.how_it_ended()}; {what} in {delay:g} s.")
            child, delay = await self._bring_back(replaced or program, delay)

    async def _bring_back(self, program: Program, delay: float) -> tuple[Child, float]:
        while True:
            await asyncio.sleep(delay)
            try:
                return await self._bring_up(program), delay
            except ProcessFailed as error:
                delay = _longer(delay)
                replaced = self._replacement(program, delay)
                what = "using its replacement" if replaced else "trying again"
                self.console.say(f"{error.summary}; {what} in {delay:g} s.")
                program = replaced or program

    def _replacement(self, program: Program, delay: float) -> Program | None:
        return program.instead if delay >= _PATIENCE * FIRST_DELAY else None

    async def _stop_one(self, child: Child) -> None:
        if not await child.stop():
            self.console.say(f"{child.program.name} did not stop within {child.program.grace:g} s and was killed.")


def _longer(delay: float) -> float:
    return min(max(2 * delay, FIRST_DELAY), LONGEST_DELAY)
