"""The parts that the operators' page is made of; each app says in its `panels.py` what its own show."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the page, for those who have a permission. Its texts are marked, and translated where they are shown.

    `look` returns what the template shows, None where its server does not answer; errors of PostgreSQL mean the same.
    It may ask PostgreSQL. Who asks another server sees to it that nobody waits long, and has `begin` ask it before all
    panels look: so those who wait, wait at the same time.
    """

    title: str
    permission: str
    template: str
    look: Callable[[], Mapping[str, Any] | None]
    # What an operator reads instead where the server does not answer.
    silence: str
    begin: Callable[[], object] = _nothing
    # Whether it takes the whole width, as plots do.
    is_wide: bool = False


@contextmanager
def brief_statements() -> Iterator[None]:
    """Have PostgreSQL give up each statement within after 2 s, which raises OperationalError."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '2s'")
        yield
