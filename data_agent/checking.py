"""What the guard says of a text while a person types it. Nothing is kept, and nothing can be approved by it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from config.translating import translated
from data_agent import drafting
from data_agent.audit import Person
from data_agent.protocol import Check, Checked

# Between two verdicts of a page, at least; what is typed meanwhile but the newest text is passed over.
PAUSE_SECONDS = 0.1


class Checks:
    """The texts that a page wants to be checked: only the newest one waits, and one is worked on at a time."""

    def __init__(self, check: Callable[[Check], Awaitable[None]]) -> None:
        self._check = check
        self._newest: Check | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, frame: Check) -> None:
        """Take a text in place of the one that waits."""
        self._newest = frame
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def aclose(self) -> None:
        """Stop checking."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._newest is not None:
            frame, self._newest = self._newest, None
            await self._check(frame)
            await asyncio.sleep(PAUSE_SECONDS)


async def verdict(person: Person, frame: Check) -> Checked:
    """Return the verdict on a text. Raises Unavailable without the analytics database."""
    examined = await drafting.examine(frame.sql, personal=person.personal)
    found = examined.verdict
    return Checked(
        step=frame.step,
        number=frame.number,
        allowed=not examined.problem,
        tables=found.tables,
        columns_read=found.columns,
        masked=found.masked,
        reasons=tuple(map(translated, examined.reasons)),
        warnings=tuple(map(translated, found.warnings)),
        estimated_rows=examined.estimated_rows,
        estimated_cost=examined.estimated_cost,
    )
