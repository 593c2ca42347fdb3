"""Does in one go what many ask for at the same time; each counts its share of the statements.

Whoever comes first waits for nobody. Who comes while that is under way, or has only just been, goes along with the next
go, together with all who wait then: the more there is to do, the less each costs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

from config.observability import correlation, counting
from config.observability.counting import Counted
from kafka_chat.pacing import Pace

T = TypeVar("T")
R = TypeVar("R")

# Items of one go.
MOST = 500


class Gathering(Generic[T, R]):
    """Asks `work` for the results of several items at once, which it returns in their order.

    An item that cannot be worked on must not harm the others: where a go raises, each item goes alone. Only where
    PostgreSQL is away all are told so at once.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]]) -> None:
        self._work = work
        self._waiting: deque[tuple[T, asyncio.Future[tuple[R, Counted]]]] = deque()
        self._going: asyncio.Task[None] | None = None
        self._pace = Pace()

    async def ask(self, item: T) -> R:
        """Return the result of an item; raises what the work on it raised."""
        result: asyncio.Future[tuple[R, Counted]] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._going is None:
            self._going = asyncio.create_task(self._go())
        value, share = await result
        counting.add(share)
        return value

    async def aclose(self) -> None:
        """Wait for what is under way; its askers may be gone."""
        if self._going is not None:
            await self._going

    async def _go(self) -> None:
        correlation.forget()
        try:
            while self._waiting:
                await self._pace.wait()
                # Who has left in the meantime wants nothing any more.
                asked = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                self._pace.begin(len(asked), asyncio.get_running_loop().time())
                await self._settle([each for each in asked if not each[1].done()])
        finally:
            self._going = None

    async def _settle(self, asked: Sequence[tuple[T, asyncio.Future[tuple[R, Counted]]]]) -> None:
        if not asked:
            return
        try:
            with counting.counting() as counted:
                results = await self._work([item for item, _ in asked])
        except Exception as error:
            if len(asked) > 1 and not isinstance(error, OperationalError | InterfaceError):
                for one in asked:
                    await self._settle([one])
                return
            for _, result in asked:
                if not result.done():
                    result.set_exception(error)
        except BaseException:
            for _, result in asked:
                result.cancel()
            raise
        else:
            for (_, result), value in zip(asked, results, strict=True):
                if not result.done():
                    result.set_result((value, counted.share(1 / len(asked))))
