"""Round trips to one Redis that everybody shares who asks for something at the same time."""

import asyncio
from collections.abc import Sequence
from typing import Any

from config.background import Background
from config.redis import Redis
from config.round_trips import Command, RoundTrips


class Rounds:
    """Sends commands in pipelines: whoever asks in the same turn of the event loop, or while one is on its way, shares.

    So who is alone waits for nobody, and a hundred at once cost two round trips.
    """

    def __init__(self, redis: Redis, background: Background) -> None:
        self._round_trips = RoundTrips(redis)
        self._background = background
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies, in order; an error that concerns one of the commands is its reply.

        Raises redis.exceptions.RedisError where Redis is away. A command is sent also where its asker is cancelled.
        """
        if not commands:
            return []
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answered))
        self._background.keep_up("rounds", self._go)
        return await answered

    async def _go(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            try:
                replies = await self._send([command for commands, _ in asked for command in commands])
            except BaseException as error:
                for _, answered in asked:
                    _fail(answered, error)
                if not isinstance(error, Exception):
                    raise
                continue
            for commands, answered in asked:
                mine, replies = replies[: len(commands)], replies[len(commands) :]
                if not answered.done():
                    answered.set_result(mine)

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        return await self._round_trips.make(commands)


def _fail(answered: asyncio.Future[list[Any]], error: BaseException) -> None:
    if answered.done():
        return
    if isinstance(error, Exception):
        answered.set_exception(error)
    else:
        answered.cancel()
