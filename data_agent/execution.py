"""Runs an approved text, byte for byte, as a role that can only read three tables.

Each run has a connection of its own, outside Django's. The transaction is READ ONLY and always rolled back. The text
goes through PostgreSQL's extended protocol, which takes one statement and no more. Rows are read one at a time, so
that the caps hold before the memory is taken. Nothing runs as a role that can do more, or that is less bounded, than
`data_agent.roles` says.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import psycopg
import structlog
from django.conf import settings
from psycopg.adapt import AdaptersMap
from psycopg.types.string import TextLoader

from data_agent import guard, roles
from data_agent.errors import QueryFailed, Unavailable
from data_agent.guard import policy

log = structlog.get_logger(__name__)

STATEMENT_SECONDS = 10
TRANSACTION_SECONDS = 15
ESTIMATE_SECONDS = 2
MAX_RESULT_BYTES = 1_000_000
MAX_CELL_BYTES = 4_000
VERIFIED_SECONDS = 60.0
# Total cost as PostgreSQL's planner counts it: a join of the two large tables without a condition has about 2 million
# for each percent of their product, a sensible question a few ten thousand.
MAX_COST = 5_000_000

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
    rows: tuple[tuple[str | None, ...], ...]
    # Whether rows or parts of cells were left out because of the caps.
    cut: bool
    bytes: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What PostgreSQL's planner expects."""

    rows: int
    cost: float


async def run(sql: str, *, personal: bool = False) -> Result:
    """Run a text that the guard allows as it stands, and return its rows; personal data is masked unless `personal`.

    Raises QueryFailed where the guard or PostgreSQL refuses it or it takes too long, Unavailable without a database or
    with a role that can do too much.
    """
    # Checked at the last moment, whatever was checked before.
    verdict = guard.check(sql, personal=personal)
    if not verdict.allowed or verdict.warnings:
        raise QueryFailed(" ".join(verdict.reasons) or "The query has no sufficient LIMIT, so it was not run.")
    started = time.monotonic()
    async with _transaction(STATEMENT_SECONDS, personal) as cursor:
        rows: list[tuple[str | None, ...]] = []
        size = 0
        cut = False
        # An asynchronous generator: closing it early makes psycopg cancel the query.
        stream = cast(AsyncGenerator[Any], cursor.stream(sql))
        async with aclosing(stream):
            async for row in stream:
                cells = [_cell(cell) for cell in row]
                # What stands between the cells counts too: a row of a thousand empty ones is not nothing.
                size += len(cells) + sum(len(text.encode()) for text, _ in cells if text is not None)
                if len(rows) == policy.MAX_ROWS or size > MAX_RESULT_BYTES:
                    cut = True
                    break
                cut = cut or any(shortened for _, shortened in cells)
                rows.append(tuple(text for text, _ in cells))
            columns = tuple(_column(column) for column in cursor.description or ())
    return Result(columns, tuple(rows), cut, min(size, MAX_RESULT_BYTES), _milliseconds(started))


async def estimate(sql: str, *, personal: bool = False) -> Estimate:
    """Let PostgreSQL plan a text that the guard allows, without running it.

    Raises QueryFailed where PostgreSQL refuses it or expects it to be far too expensive, Unavailable without a
    database or with a role that can do too much.
    """
    verdict = guard.check(sql, personal=personal)
    if not verdict.allowed:
        raise QueryFailed(" ".join(verdict.reasons))
    async with _transaction(ESTIMATE_SECONDS, personal) as cursor:
        await cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", prepare=True)
        row = await cursor.fetchone()
    plan = json.loads(row[0])[0]["Plan"] if row else {}
    expected = Estimate(int(plan["Plan Rows"]), float(plan["Total Cost"]))
    if expected.cost > MAX_COST:
        raise QueryFailed(
            "The query would be too expensive: PostgreSQL expects to look at far too many combinations of rows. "
            "Join the tables on their keys, or narrow it with WHERE."
        )
    return expected


class _Texts:
    """Makes connections give all values as texts, as PostgreSQL writes them.

    They are exact so, and none is beyond Python's types ('infinity'::date is).
    """

    connection = None

    def __init__(self) -> None:
        self.adapters = AdaptersMap(psycopg.adapters)
        for info in psycopg.postgres.types:
            self.adapters.register_loader(info.oid, TextLoader)
            self.adapters.register_loader(info.array_oid, TextLoader)


_texts = _Texts()


@asynccontextmanager
async def _transaction(statement_seconds: int, personal: bool) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
    """Open a connection and a READ ONLY transaction that is rolled back in any case."""
    url = settings.ANALYTICS_DATABASE_URL
    if not url:
        raise Unavailable(
            "The data agent has no database role. The operator sets ANALYTICS_DATABASE_URL and runs "
            "`manage.py create_agent_role`."
        )
    try:
        role = roles.from_url(url, personal=personal)
    except ValueError as error:
        raise Unavailable(f"The data agent has no database role. {error}") from None
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, user=role.name, context=_texts, connect_timeout=5, application_name="triptych data agent"
        )
    except psycopg.Error as error:
        log.warning("no connection to the analytics database", error=type(error).__name__, sqlstate=error.sqlstate)
        raise Unavailable("The analytics database cannot be reached. Please try again in a moment.") from error
    try:
        async with asyncio.timeout(TRANSACTION_SECONDS + 5):
            await connection.set_read_only(True)
            await _verify(connection, url, role)
            await _bound(connection, role, statement_seconds)
            async with connection.cursor() as cursor:
                yield cursor
    except TimeoutError:
        raise QueryFailed(_TOO_SLOW) from None
    except psycopg.Error as error:
        raise QueryFailed(_explain(error)) from error
    finally:
        # Without a commit PostgreSQL rolls back; closing also ends whatever the connection may still hold.
        await connection.close()


async def _verify(connection: psycopg.AsyncConnection[Any], url: str, role: roles.Role) -> None:
    """Ask the server once a minute what the role can really do; raises Unavailable where that is wrong."""
    now = time.monotonic()
    if _verified.get((url, role.name), -VERIFIED_SECONDS) > now - VERIFIED_SECONDS:
        return
    cursor = await connection.execute(roles.PROBLEMS, roles.problem_parameters(role))
    found = [str(sentence) for (sentence,) in await cursor.fetchall()]
    if found:
        log.error("the agent's role is not as it should be, so nothing is run", role=role.name, problems=found)
        raise Unavailable(_WRONG_ROLE)
    _verified[url, role.name] = now


async def _bound(connection: psycopg.AsyncConnection[Any], role: roles.Role, statement_seconds: int) -> None:
    # The role has these settings too; here they hold whatever was configured meanwhile.
    cursor = await connection.execute(
        """
        SELECT set_config('statement_timeout', %s, true),
               set_config('transaction_timeout', %s, true),
               set_config('search_path', %s, true),
               set_config('standard_conforming_strings', 'on', true),
               set_config('TimeZone', 'UTC', true),
               set_config('DateStyle', 'ISO, YMD', true),
               current_setting('is_superuser') = 'on'
               OR current_setting('transaction_read_only') = 'off'
               OR has_database_privilege(current_database(), 'CREATE, TEMPORARY')
               OR has_table_privilege('public.analytics_users', 'INSERT, UPDATE, DELETE, TRUNCATE')
               OR has_any_column_privilege('public.analytics_users', 'SELECT') <> %s
        """,
        [f"{statement_seconds}s", f"{TRANSACTION_SECONDS}s", ", ".join(role.search_path), role.personal],
    )
    row = await cursor.fetchone()
    # Between two verifications rights may have been given; the worst of them are looked for each time.
    if row is None or row[-1] != "f":
        _verified.clear()
        raise Unavailable(_WRONG_ROLE)


# When a role of an address was last found to be right, by the monotonic clock.
_verified: dict[tuple[str, str], float] = {}

_WRONG_ROLE = (
    "The data agent's database role can do too much or too little, so nothing is run. "
    "The operator runs `manage.py create_agent_role`, which says what is wrong."
)
_TOO_SLOW = f"The query took longer than {STATEMENT_SECONDS} seconds and was ended. Narrow it with WHERE."


def _explain(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.TransactionTimeout):
        return _TOO_SLOW
    message = (error.diag.message_primary or "the connection was lost").rstrip(".")
    hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
    return f"PostgreSQL: {message}.{hint}"


def _cell(value: str | None) -> tuple[str | None, bool]:
    """Return a cell at its allowed width, and whether it was shortened."""
    if value is None or len(value) <= MAX_CELL_BYTES // 4:
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
