from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from data_agent import roles, schema
from data_agent.demo_data import DemoData

NAME = roles.from_url(settings.ANALYTICS_DATABASE_URL).name


@pytest.fixture
def agent(analytics: DemoData) -> Iterator[psycopg.Connection]:
    """A connection as the agent's role."""
    with psycopg.connect(settings.ANALYTICS_DATABASE_URL, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize("table", [table.name for table in schema.TABLES])
def test_the_role_reads_the_three_tables(agent: psycopg.Connection, table: str) -> None:
    row = agent.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))).fetchone()
    assert row is not None
    assert row[0] > 0


def test_the_role_reads_no_other_table(agent: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        others = [name for name in connection.introspection.table_names(cursor) if not name.startswith("analytics_")]
    assert "auth_user" in others and "da_audit_event" in others and len(others) > 10
    for table in others:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute(psycopg.sql.SQL("SELECT 1 FROM {}").format(psycopg.sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM analytics_users",
        "UPDATE analytics_users SET plan = 'free'",
        "INSERT INTO analytics_users SELECT * FROM analytics_users",
        "TRUNCATE analytics_users",
        "SELECT nextval('analytics_users_id_seq')",
        "CREATE TABLE public.x ()",
        "CREATE TEMPORARY TABLE x ()",
        "CREATE SCHEMA x",
        "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE x",
        "COPY analytics_users TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT * FROM pg_authid",
        "SELECT setval('da_audit_event_id_seq', 1)",
    ],
)
def test_the_role_changes_nothing_even_outside_a_read_only_transaction(
    agent: psycopg.Connection, statement: str
) -> None:
    agent.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(statement.encode())


def test_the_roles_connections_are_bounded(agent: psycopg.Connection) -> None:
    for name, value in roles.SETTINGS.items():
        row = agent.execute("SELECT current_setting(%s)", [name]).fetchone()
        assert row == (value,), name
    row = agent.execute("SELECT rolconnlimit, rolinherit FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (roles.CONNECTION_LIMIT, False)


def test_without_its_password_nobody_is_the_role(analytics: DemoData) -> None:
    url = settings.ANALYTICS_DATABASE_URL.replace(roles.from_url(settings.ANALYTICS_DATABASE_URL).password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_the_command_can_run_again_and_takes_back_what_the_role_got(analytics: DemoData) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'GRANT SELECT ON auth_user TO "{NAME}"; GRANT INSERT ON analytics_users TO "{NAME}"')
    excess = roles.excess(roles.Role(NAME, ""))
    assert sorted(excess) == ["it may read or change analytics_users", "it may read or change auth_user"]
    said = StringIO()
    call_command("create_agent_role", stdout=said)
    assert "can read the three analytics tables and nothing else" in said.getvalue()
    assert roles.excess(roles.Role(NAME, "")) == []


def test_the_command_ends_with_an_error_where_the_role_can_do_more_than_it_takes_back(analytics: DemoData) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE readers; GRANT readers TO "{NAME}"')
        try:
            with pytest.raises(CommandError, match="can do too much: it is a member of readers"):
                call_command("create_agent_role", stdout=StringIO())
        finally:
            cursor.execute("DROP ROLE readers")


def test_who_may_not_make_roles_is_told_what_an_administrator_must_run(analytics: DemoData) -> None:
    said = StringIO()
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE plain; GRANT plain TO CURRENT_USER WITH SET TRUE; SET ROLE plain")
        try:
            with pytest.raises(CommandError, match="was not changed"):
                call_command("create_agent_role", stdout=said)
        finally:
            cursor.execute("RESET ROLE; DROP ROLE plain")
    statements = said.getvalue()
    assert f'ALTER ROLE "{NAME}" WITH LOGIN NOINHERIT NOCREATEDB NOCREATEROLE NOSUPERUSER' in statements
    assert 'GRANT SELECT ON "public"."analytics_users", "public"."analytics_purchases"' in statements
    assert f"""ALTER ROLE "{NAME}" SET "temp_file_limit" = '256MB';""" in statements
    assert roles.from_url(settings.ANALYTICS_DATABASE_URL).password not in statements


@pytest.mark.django_db
def test_without_an_address_or_with_the_applications_own_role_the_command_says_so(settings: Settings) -> None:
    settings.ANALYTICS_DATABASE_URL = None
    with pytest.raises(CommandError, match="ANALYTICS_DATABASE_URL is not set"):
        call_command("create_agent_role")
    settings.ANALYTICS_DATABASE_URL = "postgres://someone@127.0.0.1/x"
    with pytest.raises(CommandError, match="must name a role and its password"):
        call_command("create_agent_role")
    settings.ANALYTICS_DATABASE_URL = f"postgres://{connection.settings_dict['USER']}:x@127.0.0.1/x"
    with pytest.raises(CommandError, match="the application's own role"):
        call_command("create_agent_role")
