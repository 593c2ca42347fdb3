"""PostgreSQL's LISTEN, on connections of our own: a pooled one must not be kept, and would not be told anything."""

from typing import Any

import psycopg
from django.db import connections
from psycopg import sql


async def connect(channel: str) -> psycopg.AsyncConnection[Any]:
    """Return a connection that listens on a channel, to be closed by the caller.

    Raises psycopg.OperationalError where PostgreSQL cannot be reached.
    """
    parameters = connections["default"].get_connection_params()
    for name in ("context", "cursor_factory", "pool", "server_side_binding"):
        parameters.pop(name, None)
    database = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    try:
        await database.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    except BaseException:
        await database.close()
        raise
    return database
