"""Makes the database roles that run approved queries."""

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from data_agent import roles


class Command(BaseCommand):
    """Create or correct the roles of ANALYTICS_DATABASE_URL; running it again changes nothing."""

    help = (
        "Create the two read-only roles of ANALYTICS_DATABASE_URL (NAME and NAME_personal), or bring them back to what "
        "they should be. Where this database user may not do that, print the statements for an administrator and end "
        "with status 1."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the statements where something is missing, then ask the server what the roles can do."""
        url = settings.ANALYTICS_DATABASE_URL
        if not url:
            raise CommandError("ANALYTICS_DATABASE_URL is not set, so there is no role to create.")
        try:
            wanted = roles.both(url)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if connection.settings_dict["USER"] in [role.name for role in wanted]:
            raise CommandError("ANALYTICS_DATABASE_URL names the application's own role. Name another one.")
        if _is_missing(wanted) or any(roles.problems(url, personal=role.personal) for role in wanted):
            self._bring_to_order(wanted)
        left = [(role, roles.problems(url, personal=role.personal)) for role in wanted]
        found = [f"The role {role.name} is not as it should be: {'; '.join(why)}." for role, why in left if why]
        if found:
            self._tell_administrator(wanted, roles.powers(wanted))
            raise CommandError(" ".join(found))
        names = " and ".join(role.name for role in wanted)
        self.stdout.write(f"The roles {names} can read the three analytics tables and nothing else.")

    def _bring_to_order(self, wanted: tuple[roles.Role, ...]) -> None:
        powers = roles.powers(wanted)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in roles.statements([_hashed(role) for role in wanted], powers, _database()):
                    cursor.execute(statement)
        except DatabaseError as error:
            self._tell_administrator(wanted, powers)
            raise CommandError(f"The role {wanted[0].name} was not changed: {str(error).strip()}") from None

    def _tell_administrator(self, wanted: tuple[roles.Role, ...], ours: roles.Powers) -> None:
        self.stdout.write("-- An administrator of PostgreSQL must run this in the database:")
        hidden = [replace(role, password="the password in ANALYTICS_DATABASE_URL") for role in wanted]
        administrator = replace(ours, superuser=True, temp_file_limit=True)
        for statement in roles.statements(hidden, administrator, _database()):
            self.stdout.write(f"{_text(statement)};")


def _is_missing(wanted: tuple[roles.Role, ...]) -> bool:
    """Return whether a role does not exist. To try a sign-in would leave an alarming line in the server's log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", [[role.name for role in wanted]])
        (found,) = cursor.fetchone()
    return bool(found < len(wanted))


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _hashed(role: roles.Role) -> roles.Role:
    """Return the role with its password hashed, so that the server's log cannot hold the password."""
    connection.ensure_connection()
    hashed = connection.connection.pgconn.encrypt_password(role.password.encode(), role.name.encode(), b"scram-sha-256")
    return replace(role, password=hashed.decode())


def _text(statement: sql.Composed) -> str:
    connection.ensure_connection()
    return statement.as_string(connection.connection)
