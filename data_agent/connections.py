"""Connections as the agent's roles: each runs one text, in a READ ONLY transaction that is always rolled back.

Opening one costs more than most queries: PostgreSQL starts a process, and the password is proved. So a page that shows
a query to be decided holds one open ahead (`Ahead`). Nothing runs as a role that can do more, or that is less bounded,
than `data_agent.roles` says; that is asked of the server each time a connection is used, however long it was open.
"""

import asyncio
import time
from typing import Any, ClassVar

import psycopg
import structlog
from django.conf import settings
from psycopg.adapt import AdaptersMap
from psycopg.types.string import TextLoader

from config.sentences import joined, say
from data_agent import roles
from data_agent.errors import Unavailable
from data_agent.schema import TABLES

log = structlog.get_logger(__name__)

TRANSACTION_SECONDS = 15
VERIFIED_SECONDS = 60.0
# PostgreSQL ends an idle session of these roles after a minute.
AHEAD_SECONDS = 50.0
# Pages of this process that hold a connection open ahead, at most: a role has 20 connections for all processes, and
# queries that were approved go first.
MOST_AHEAD = 4

Connection = psycopg.AsyncConnection[Any]


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


async def connect(*, personal: bool) -> Connection:
    """Open a connection as the role that sees personal data, or as the other one. Raises Unavailable."""
    url, role = _role(personal)
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, user=role.name, context=_texts, connect_timeout=5, application_name="triptych data agent"
        )
    except psycopg.Error as error:
        log.warning("no connection to the analytics database", error=type(error).__name__, sqlstate=error.sqlstate)
        raise Unavailable(say("The analytics database cannot be reached. Please try again in a moment.")) from error
    await connection.set_read_only(True)
    return connection


async def begin(connection: Connection, *, personal: bool, statement_seconds: int) -> None:
    """Begin a transaction with its bounds; raises Unavailable where the role can do too much or too little."""
    url, role = _role(personal)
    await _verify(connection, url, role)
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
        forget_verifications()
        raise Unavailable(_WRONG_ROLE)


class Ahead:
    """A page's connection for the next query that is approved; it is used once, or closed after a while."""

    _open: ClassVar[int] = 0

    def __init__(self) -> None:
        self._task: asyncio.Task[Connection | None] | None = None
        self._personal = False
        self._is_closed = False
        self._expiry: asyncio.TimerHandle | None = None
        # Those that are not wanted any more, until they are closed.
        self._dropped: set[asyncio.Task[Connection | None]] = set()

    def prepare(self, *, personal: bool) -> None:
        """Begin to open a connection if there is none, and not too many pages have one. Never fails.

        Nothing is opened for a page that has ended.
        """
        if self._task is not None and self._personal != personal:
            self._drop()
        if self._task is None and not self._is_closed and Ahead._open < MOST_AHEAD:
            Ahead._open += 1
            self._personal = personal
            self._task = asyncio.create_task(_opened(personal))
            self._expiry = asyncio.get_running_loop().call_later(AHEAD_SECONDS, self._drop)

    async def take(self, *, personal: bool) -> Connection | None:
        """Return the connection, which from now on is the caller's; None where there is none that can be used."""
        if self._task is None or self._personal != personal:
            return None
        task = self._release()
        try:
            connection = await asyncio.shield(task)
        except asyncio.CancelledError:
            self._discard(task)
            raise
        if connection is not None and connection.closed:
            return None
        return connection

    async def aclose(self) -> None:
        """Close what is open, for good; that goes on where this is cancelled."""
        self._is_closed = True
        self._drop()
        if self._dropped:
            await asyncio.wait(self._dropped)

    def _drop(self) -> None:
        if self._task is not None:
            self._discard(self._release())

    def _release(self) -> "asyncio.Task[Connection | None]":
        assert self._task is not None
        assert self._expiry is not None
        task, self._task = self._task, None
        self._expiry.cancel()
        Ahead._open -= 1
        return task

    def _discard(self, task: "asyncio.Task[Connection | None]") -> None:
        self._dropped.add(task)
        task.cancel()
        task.add_done_callback(self._close)

    def _close(self, task: "asyncio.Task[Connection | None]") -> None:
        self._dropped.discard(task)
        if not task.cancelled() and (connection := task.result()) is not None:
            # What `AsyncConnection.close` does, without a task.
            connection.pgconn.finish()


async def _opened(personal: bool) -> Connection | None:
    """Return a connection whose process has read what each transaction needs of the catalogue; None without one."""
    try:
        connection = await connect(personal=personal)
    except Unavailable:
        return None
    try:
        await begin(connection, personal=personal, statement_seconds=1)
        await connection.execute(_TOUCH)
        await connection.rollback()
    except BaseException as error:
        await connection.close()
        if isinstance(error, psycopg.Error | Unavailable):
            # Who wants to run something is told why.
            return None
        raise
    return connection


_TOUCH = "EXPLAIN SELECT FROM " + ", ".join(table.name for table in TABLES)


def _role(personal: bool) -> tuple[str, roles.Role]:
    url = settings.ANALYTICS_DATABASE_URL
    if not url:
        raise Unavailable(
            joined(_NO_ROLE, say("The operator sets ANALYTICS_DATABASE_URL and runs `manage.py create_agent_role`."))
        )
    try:
        return url, roles.from_url(url, personal=personal)
    except ValueError as error:
        raise Unavailable(joined(_NO_ROLE, str(error))) from None


async def _verify(connection: Connection, url: str, role: roles.Role) -> None:
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


def forget_verifications() -> None:
    """Ask anew what the roles can do, before the next query."""
    _verified.clear()


# When a role of an address was last found to be right, by the monotonic clock.
_verified: dict[tuple[str, str], float] = {}

_NO_ROLE = say("The data agent has no database role.")
_WRONG_ROLE = say(
    "The data agent's database role can do too much or too little, so nothing is run. "
    "The operator runs `manage.py create_agent_role`, which says what is wrong."
)
