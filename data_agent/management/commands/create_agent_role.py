"""Makes the database role that runs approved queries."""

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection, transaction
from psycopg import sql

from data_agent import roles


class Command(BaseCommand):
    """Create or correct the role of ANALYTICS_DATABASE_URL; running it again changes nothing."""

    help = (
        "Create the read-only role that ANALYTICS_DATABASE_URL names, or bring it back to what it should be. "
        "Where this database user may not do that, print the statements for an administrator and end with status 1."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the statements, then ask the server what the role can do."""
        if not settings.ANALYTICS_DATABASE_URL:
            raise CommandError("ANALYTICS_DATABASE_URL is not set, so there is no role to create.")
        try:
            role = roles.from_url(settings.ANALYTICS_DATABASE_URL)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if role.name == connection.settings_dict["USER"]:
            raise CommandError("ANALYTICS_DATABASE_URL names the application's own role. Name another one.")
        powers = roles.powers(role)
        database = connection.settings_dict["NAME"]
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in roles.statements(role, powers, database):
                    cursor.execute(statement)
        except ProgrammingError as error:
            self._tell_administrator(role, powers, database)
            raise CommandError(f"The role {role.name} was not changed: {str(error).strip()}") from None
        excess = roles.excess(role)
        if excess:
            raise CommandError(f"The role {role.name} can do too much: {'; '.join(excess)}.")
        self.stdout.write(f"The role {role.name} can read the three analytics tables and nothing else.")

    def _tell_administrator(self, role: roles.Role, ours: roles.Powers, database: str) -> None:
        self.stdout.write("-- An administrator of PostgreSQL must run this in the database:")
        hidden = roles.Role(role.name, "the password in ANALYTICS_DATABASE_URL")
        administrator = replace(ours, superuser=True, temp_file_limit=True)
        for statement in roles.statements(hidden, administrator, database):
            self.stdout.write(f"{_text(statement)};")


def _text(statement: sql.Composed) -> str:
    connection.ensure_connection()
    return statement.as_string(connection.connection)
