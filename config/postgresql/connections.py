"""Connections that know when they are of no use any more."""

import select
from typing import Any, TypeVar

import psycopg
from psycopg import BaseConnection, Connection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

Found = TypeVar("Found")

# Seconds that each answer may take; None: as long as it takes, as migrations and commands may.
_patience: float | None = None


def give_up_after(seconds: float | None) -> None:
    """Have every `Bounded` connection of this process wait so long for an answer, and no longer."""
    global _patience
    _patience = seconds


class Bounded(Connection[Any]):
    """A connection that ends where an answer does not come: whoever waits is told, and its thread is free again.

    This is no `statement_timeout`, which PostgreSQL has to keep itself, and cannot while it is frozen or cut off.
    """

    def wait(self, gen: PQGen[Found], interval: float = 0.1, timeout: float | None = None) -> Found:
        """Wait for an answer. Raises OperationalError."""
        if timeout is not None or _patience is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, _patience)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # Otherwise a late answer would be taken for the next statement's.
                self.close()
            raise


def has_heard_something(connection: BaseConnection[Any]) -> bool:
    """Whether the server has said something while nobody asked: that it goes, or has gone."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
