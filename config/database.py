"""Statements that go from the event loop straight to PostgreSQL, for the few that every question of a chat waits for.

Through Django's ORM each of them would be built anew, and change into a thread and back, which costs several times what
the statement does (`README.md` of the Kafka chat has the figures). Here a statement is prepared once for each
connection, and is a transaction of its own (`rows`) or a part of one (`together`). Whoever has a query to build uses
the ORM.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.pq import TransactionStatus

from config import loops, patience
from config.observability import counting
from config.postgresql.connections import has_heard_something

Row = tuple[Any, ...]
Parameters = Sequence[object] | Mapping[str, object]
Done = TypeVar("Done")


class Execute(Protocol):
    """Executes a statement of a transaction and returns its rows, none where it returns none."""

    async def __call__(self, statement: str, parameters: Parameters = (), /) -> list[Row]: ...


Work = Callable[[Execute], Awaitable[Done]]

# Seconds after which a server that gives no answer counts as away.
PATIENCE = 10.0


class Connections:
    """The connections of one event loop: made when they are needed, kept, and at most so many."""

    def __init__(self, most: int) -> None:
        self._turns = asyncio.Semaphore(most)
        # The one that was used last is used next, so those that a quiet time does not need fall out of use.
        self._free: list[psycopg.AsyncConnection[Row]] = []

    async def rows(self, statement: str, parameters: Parameters) -> list[Row]:
        """Execute a statement and return its rows. Raises Django's errors, as the ORM does."""
        return await _bounded(self._rows(statement, parameters))

    async def together(self, work: Work[Done]) -> Done:
        """Do work whose statements are one transaction. Raises Django's errors, and what the work raises."""
        return await _bounded(self._together(work))

    async def aclose(self) -> None:
        """Close those that are free."""
        while self._free:
            await self._free.pop().close()

    async def _rows(self, statement: str, parameters: Parameters) -> list[Row]:
        async with self._turns:
            connection = await self._take()
            try:
                return await _execute(connection, statement, parameters)
            finally:
                await self._give_back(connection)

    async def _together(self, work: Work[Done]) -> Done:
        async with self._turns:
            connection = await self._take()
            try:
                async with connection.transaction():
                    return await work(partial(_execute, connection))
            finally:
                await self._give_back(connection)

    async def _take(self) -> psycopg.AsyncConnection[Row]:
        while self._free:
            connection = self._free.pop()
            if not has_heard_something(connection):
                return connection
            await connection.close()
        return await _connect()

    async def _give_back(self, connection: psycopg.AsyncConnection[Row]) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._free.append(connection)
        else:
            await connection.close()


async def _bounded(work: Awaitable[Done]) -> Done:
    with connections["default"].wrap_database_errors:
        try:
            return await patience.within(PATIENCE, work)
        except TimeoutError:
            raise psycopg.OperationalError(f"PostgreSQL gave no answer in {PATIENCE:g} s") from None


async def _execute(
    connection: psycopg.AsyncConnection[Row], statement: str, parameters: Parameters = (), /
) -> list[Row]:
    cursor = await connection.execute(statement, parameters, prepare=True)
    counting.note(statement)
    return await cursor.fetchall() if cursor.description else []


async def _connect() -> psycopg.AsyncConnection[Row]:
    parameters = connections["default"].get_connection_params()
    # What is left means the same here as it does for the ORM, the types of values among it.
    for name in ("cursor_factory", "prepare_threshold", "server_side_binding"):
        parameters.pop(name, None)
    return await psycopg.AsyncConnection.connect(**parameters, autocommit=True)


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()


async def rows(statement: str, parameters: Parameters) -> list[Row]:
    """Execute a statement on a connection of the running event loop and return its rows.

    Raises Django's errors: OperationalError or InterfaceError where PostgreSQL cannot be reached.
    """
    return await _ours().rows(statement, parameters)


async def together(work: Work[Done]) -> Done:
    """Do work whose statements are one transaction: all of them are committed or, where it raises, none.

    It gets what executes a statement, and waits for nothing else: others wait for the connection, and for its locks.
    Raises the same, and what the work raises.
    """
    return await _ours().together(work)


def _ours() -> Connections:
    loop = asyncio.get_running_loop()
    if loop not in _connections:
        ours = _connections[loop] = Connections(settings.DATABASE_DIRECT_CONNECTIONS)
        loops.before_close(loop, ours.aclose)
    return _connections[loop]
