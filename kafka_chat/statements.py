"""Statements that change the rows of many questions at once, carried out from the event loop or from a thread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection

from config import database

R = TypeVar("R")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement(Generic[R]):
    """One statement, and how to read what it returns."""

    text: str
    values: Mapping[str, Any]
    read: Callable[[Sequence[Row]], R]

    async def execute(self) -> R:
        """Return what it did; it is committed. Raises Django's OperationalError or InterfaceError."""
        return self.read(await database.rows(self.text, self.values))

    def execute_here(self) -> R:
        """Return what it did, on this thread's connection and in its transaction; raises the same."""
        with connection.cursor() as cursor:
            cursor.execute(self.text, self.values)
            return self.read(cursor.fetchall())
