"""How often PostgreSQL is asked, counted where it happens: reads and writes, of the ORM as of `config.database`.

A statement is one read or one write, whatever it returns. Where many share one, each counts its share: so the figures
of all of them add up to what was executed. What belongs to no table (BEGIN, SET, pg_notify alone) is neither.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

Kind = Literal["read", "write", "other"]

_WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE\s+(?!SKIP\b)|DELETE\s+FROM)", re.IGNORECASE)
_READS = re.compile(r"\s*(SELECT|WITH)\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Counted:
    """Statements that were executed; parts of one where others shared it."""

    reads: float = 0
    writes: float = 0

    def add(self, other: "Counted") -> None:
        """Add what was counted elsewhere."""
        self.reads += other.reads
        self.writes += other.writes

    def share(self, share: float) -> "Counted":
        """Return such a part of it."""
        return Counted(self.reads * share, self.writes * share)


_ONE: Mapping[Kind, Counted] = {"read": Counted(reads=1), "write": Counted(writes=1), "other": Counted()}

_counting: ContextVar[Counted | None] = ContextVar("statements counted", default=None)


@contextmanager
def counting() -> Iterator[Counted]:
    """Count what is executed within, also by tasks and threads that begin there; an outer count goes without it."""
    counted = Counted()
    token = _counting.set(counted)
    try:
        yield counted
    finally:
        _counting.reset(token)


def note(statement: str) -> None:
    """Count a statement."""
    if _counting.get() is not None:
        add(_ONE[kind_of(statement)])


def add(counted: Counted) -> None:
    """Count what others have executed for us, or our share of it."""
    if (ours := _counting.get()) is not None:
        ours.add(counted)


@lru_cache(maxsize=512)
def kind_of(statement: str) -> Kind:
    """Return what a statement does to tables. One that writes and returns something is a write."""
    if _WRITES.search(statement):
        return "write"
    return "read" if _READS.match(statement) else "other"


def install() -> None:
    """Have the ORM's statements counted, on each connection that is made from now on."""
    connection_created.connect(_watch, dispatch_uid="config.observability.counting")


def _watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
    # The same object connects again and again.
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


def _count(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    result = execute(sql, params, many, context)
    # What psycopg composes makes roles, and is nobody's question.
    if isinstance(sql, str):
        note(sql)
    return result
