"""Round trips to Redis for what asks often: the commands of many at once, on connections that are kept for that.

A pipeline of redis-py takes a connection from the pool each time, looks whether something is left to read there, has a
task write and a timer for each reply: two to three times the processor time of what is here, several times for each
question of a chat.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from config.redis import PATIENCE, Redis

# A command's name and arguments.
Command: TypeAlias = Sequence[Any]

# Round trips at a time: of the client's connections most are left to others.
_AT_ONCE = 4


class RoundTrips:
    """Round trips with one client's Redis, a few at a time. Their connections are the client's, which closes them."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._read = client.response_callbacks
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._free: list[AbstractConnection] = []

    async def make(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies, in order; an error that concerns one of the commands is its reply.

        A connection that was lost is made again once, and the commands are sent again. Raises
        redis.exceptions.RedisError where Redis is away, which silence of `PATIENCE` seconds says.
        """
        async with self._turns:
            replies = await self._make(commands)
        return [self._as_redis_py_has_it(*each) for each in zip(commands, replies, strict=True)]

    async def _make(self, commands: Sequence[Command]) -> list[Any]:
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                connection = self._free.pop() if self._free else await self._take()
                try:
                    return await _send(connection, commands, patience)
                except exceptions.ConnectionError:
                    return await _send(connection, commands, patience)
                finally:
                    # One that is closed is opened by who takes it next.
                    self._free.append(connection)
        except TimeoutError:
            raise exceptions.TimeoutError(f"Redis gave no answer in {PATIENCE:g} s") from None

    async def _take(self) -> AbstractConnection:
        return await self._pool.get_connection()  # type: ignore[no-any-return, no-untyped-call]

    def _as_redis_py_has_it(self, command: Command, reply: Any) -> Any:
        read = self._read.get(command[0])
        return reply if read is None or isinstance(reply, Exception) else read(reply)


async def _send(connection: AbstractConnection, commands: Sequence[Command], patience: asyncio.Timeout) -> list[Any]:
    # Its own timers, one for each reply, would cost more than the replies do.
    connection.socket_timeout = None
    now = asyncio.get_running_loop().time
    await connection.connect()  # type: ignore[no-untyped-call]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except exceptions.ResponseError as error:
            replies.append(error)
        # It is silence that counts, not how much there is to say.
        patience.reschedule(now() + PATIENCE)
    return replies
