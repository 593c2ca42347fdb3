"""Django's backend for PostgreSQL, without the connections of the pool that ended while nobody used them.

https://docs.djangoproject.com/en/5.2/ref/databases/#subclassing-the-built-in-database-backends
"""

from typing import Any

from django.db.backends.postgresql import base

from config.postgresql.connections import has_heard_something


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend; Django finds it by its name.

    The pool's own check, and Django's CONN_HEALTH_CHECKS, would cost each request a statement. To look whether the
    server has hung up costs none.
    """

    # Django's property, which the stubs do not know.
    pool: Any

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection, not one that PostgreSQL has ended: after a restart those are all that there were."""
        while True:
            connection = super().get_new_connection(conn_params)
            if self.pool is None or not has_heard_something(connection):
                return connection
            connection.close()
            # In its place the pool makes another.
            self.pool.putconn(connection)
