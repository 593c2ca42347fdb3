"""Runs an approved text, byte for byte, as a role that can only read three tables.

Each run has a connection of its own, outside Django's. The transaction is READ ONLY and always rolled back. The text
goes through PostgreSQL's extended protocol, which takes one statement and no more. Rows are read one at a time, so
that the caps hold before the memory is taken. The connections are from `data_agent.connections`.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import psycopg

from config.sentences import joined, say
from data_agent import connections, guard
from data_agent.connections import Ahead
from data_agent.errors import QueryFailed
from data_agent.guard import policy

STATEMENT_SECONDS = 10
ESTIMATE_SECONDS = 2
MAX_RESULT_BYTES = 1_000_000
MAX_CELL_BYTES = 4_000
_BEGIN_SECONDS = 10
# Total cost as PostgreSQL's planner counts it: a join of the two large tables without a condition has about 2 million
# for each percent of their product, a sensible question a few ten thousand.
MAX_COST = 5_000_000

Row: TypeAlias = tuple[str | None, ...]

_NUMERIC = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "oid"})


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result; `numeric` columns are shown right-aligned."""

    name: str
    type: str
    numeric: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave. Cells are texts as PostgreSQL writes them, None for NULL."""

    columns: tuple[ResultColumn, ...]
    rows: tuple[Row, ...]
    # Whether rows or parts of cells were left out because of the caps.
    cut: bool
    bytes: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What PostgreSQL's planner expects."""

    rows: int
    cost: float


async def run(sql: str, *, personal: bool = False, ahead: Ahead | None = None) -> Result:
    """Run a text that the guard allows as it stands, and return its rows; personal data is masked unless `personal`.

    It runs on the connection that was opened `ahead`, or else on a new one.
    Raises QueryFailed where the guard or PostgreSQL refuses it or it takes too long, Unavailable without a database or
    with a role that can do too much.
    """
    # Checked at the last moment, whatever was checked before.
    verdict = guard.check(sql, personal=personal)
    if not verdict.allowed or verdict.warnings:
        raise QueryFailed(joined(*verdict.reasons) or say("The query has no sufficient LIMIT, so it was not run."))
    started = time.monotonic()
    async with _transaction(STATEMENT_SECONDS, personal, ahead) as cursor:
        rows: list[Row] = []
        size = 0
        cut = False
        # An asynchronous generator: closing it early makes psycopg cancel the query.
        stream = cast(AsyncGenerator[Any], cursor.stream(sql))
        async with aclosing(stream):
            async for row in stream:
                kept, width, shortened = _fitting(row)
                size += width
                if len(rows) == policy.MAX_ROWS or size > MAX_RESULT_BYTES:
                    cut = True
                    break
                cut = cut or shortened
                rows.append(kept)
            if not rows:
                # psycopg's stream tells no columns where there is no row. With LIMIT 0 PostgreSQL runs nothing.
                await cursor.execute(f"SELECT * FROM ({verdict.sql}) AS heads LIMIT 0", prepare=True)
            columns = tuple(_column(column) for column in cursor.description or ())
    return Result(columns, tuple(rows), cut, min(size, MAX_RESULT_BYTES), _milliseconds(started))


async def estimate(sql: str, *, personal: bool = False) -> Estimate:
    """Let PostgreSQL plan a text that the guard allows, without running it.

    Raises QueryFailed where PostgreSQL refuses it or expects it to be far too expensive, Unavailable without a
    database or with a role that can do too much.
    """
    verdict = guard.check(sql, personal=personal)
    if not verdict.allowed:
        raise QueryFailed(joined(*verdict.reasons))
    async with _transaction(ESTIMATE_SECONDS, personal) as cursor:
        await cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", prepare=True)
        row = await cursor.fetchone()
    plan = json.loads(row[0])[0]["Plan"] if row else {}
    expected = Estimate(int(plan["Plan Rows"]), float(plan["Total Cost"]))
    if expected.cost > MAX_COST:
        raise QueryFailed(
            say(
                "The query would be too expensive: PostgreSQL expects to look at far too many combinations of rows. "
                "Join the tables on their keys, or narrow it with WHERE."
            )
        )
    return expected


@asynccontextmanager
async def _transaction(
    statement_seconds: int, personal: bool, ahead: Ahead | None = None
) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
    """Open a READ ONLY transaction on a connection of its own, which is closed, and so rolled back, in any case."""
    connection = await _begun(statement_seconds, personal, ahead)
    try:
        async with asyncio.timeout(connections.TRANSACTION_SECONDS + 5), connection.cursor() as cursor:
            yield cursor
    except TimeoutError:
        raise QueryFailed(_too_slow(statement_seconds)) from None
    except psycopg.Error as error:
        raise QueryFailed(_explain(error, statement_seconds)) from error
    finally:
        # Without a commit PostgreSQL rolls back; closing also ends whatever the connection may still hold.
        await connection.close()


async def _begun(statement_seconds: int, personal: bool, ahead: Ahead | None) -> connections.Connection:
    opened = await ahead.take(personal=personal) if ahead else None
    connection = opened or await connections.connect(personal=personal)
    try:
        async with asyncio.timeout(_BEGIN_SECONDS):
            await connections.begin(connection, personal=personal, statement_seconds=statement_seconds)
    except BaseException as error:
        await connection.close()
        if opened is not None and isinstance(error, psycopg.OperationalError | TimeoutError):
            # PostgreSQL was restarted since it was opened, or has ended it; nothing was run.
            return await _begun(statement_seconds, personal, None)
        if isinstance(error, psycopg.Error):
            raise QueryFailed(_explain(error, statement_seconds)) from error
        if isinstance(error, TimeoutError):
            raise QueryFailed(_too_slow(statement_seconds)) from None
        raise
    return connection


def _too_slow(seconds: int) -> str:
    if seconds == ESTIMATE_SECONDS:
        return say("PostgreSQL could not plan the query within %(seconds)s seconds. Simplify it.", seconds=seconds)
    return say("The query took longer than %(seconds)s seconds and was ended. Narrow it with WHERE.", seconds=seconds)


def _explain(error: psycopg.Error, seconds: int) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.TransactionTimeout):
        return _too_slow(seconds)
    if not error.diag.message_primary:
        return say("PostgreSQL: the connection was lost.")
    return joined(f"PostgreSQL: {error.diag.message_primary.rstrip('.')}.", error.diag.message_hint or "")


def _fitting(row: Row) -> tuple[Row, int, bool]:
    """Return a row with cells of their allowed width, its bytes, and whether a cell was shortened.

    What stands between the cells counts too: a row of a thousand empty ones is not nothing.
    """
    text = "".join([cell for cell in row if cell is not None])
    # A character has four bytes at most. Mostly the row as a whole has room in one cell, and none need be looked at.
    if len(text) <= MAX_CELL_BYTES // 4:
        return row, len(row) + len(text.encode()), False
    cells = [_cell(cell) for cell in row]
    width = len(cells) + sum(len(text.encode()) for text, _ in cells if text is not None)
    return tuple(text for text, _ in cells), width, any(shortened for _, shortened in cells)


def _cell(value: str | None) -> tuple[str | None, bool]:
    """Return a cell at its allowed width, and whether it was shortened."""
    if value is None:
        return value, False
    data = value.encode()
    if len(data) <= MAX_CELL_BYTES:
        return value, False
    return data[:MAX_CELL_BYTES].decode(errors="ignore") + "…", True


def _column(column: psycopg.Column) -> ResultColumn:
    info = psycopg.postgres.types.get(column.type_code)
    name = info.name if info else "text"
    return ResultColumn(column.name, name, name in _NUMERIC)


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
