from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql
from pytest_django import Settings

from data_agent import roles, schema
from data_agent.demo_data import DemoData

URL = settings.ANALYTICS_DATABASE_URL
ROLES = {role.personal: role for role in roles.both(URL)}
NAME = ROLES[False].name


@pytest.fixture(params=[False, True], ids=["masked", "personal"])
def role(request: pytest.FixtureRequest) -> roles.Role:
    """Each of the two roles."""
    return ROLES[request.param]


@pytest.fixture
def agent(analytics: DemoData, role: roles.Role) -> Iterator[psycopg.Connection]:
    """A connection as the role."""
    with psycopg.connect(URL, user=role.name, autocommit=True) as opened:
        yield opened


@pytest.fixture
def made_again(analytics: DemoData) -> Iterator[None]:
    """Whatever a test does to the roles, they are as they should be after it."""
    yield
    call_command("create_agent_role", stdout=StringIO())


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", [table.name for table in schema.TABLES])
def test_the_roles_read_the_three_tables(agent: psycopg.Connection, table: str) -> None:
    row = agent.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    assert row[0] > 0


def test_the_roles_read_no_other_table(agent: psycopg.Connection) -> None:
    with connection.cursor() as cursor:
        others = [name for name in connection.introspection.table_names(cursor) if not name.startswith("analytics_")]
    assert "auth_user" in others and "da_audit_event" in others and len(others) > 10
    for table in others:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM analytics_users",
        "DELETE FROM public.analytics_users",
        "UPDATE analytics_users SET plan = 'free'",
        "INSERT INTO public.analytics_users SELECT * FROM analytics_users",
        "TRUNCATE public.analytics_users",
        "SELECT nextval('analytics_users_id_seq')",
        "CREATE TABLE public.x ()",
        "CREATE TABLE analytics_masked.x ()",
        "CREATE TEMPORARY TABLE x ()",
        "CREATE SCHEMA x",
        "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE x",
        "COPY analytics_purchases TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET temp_file_limit = -1",
        "SELECT * FROM pg_authid",
        "SELECT setval('da_audit_event_id_seq', 1)",
    ],
)
def test_the_roles_change_nothing_even_outside_a_read_only_transaction(
    agent: psycopg.Connection, statement: str
) -> None:
    agent.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(statement.encode())


def test_the_roles_connections_are_bounded(agent: psycopg.Connection, role: roles.Role) -> None:
    expected = {**roles.SETTINGS, **roles.TEMP_FILE_LIMIT, "search_path": ", ".join(role.search_path)}
    for name, value in expected.items():
        row = agent.execute("SELECT current_setting(%s)", [name]).fetchone()
        assert row == (value,), name
    row = agent.execute("SELECT rolconnlimit, rolinherit FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (roles.CONNECTION_LIMIT, False)


def test_one_role_sees_people_and_the_other_one_pseudonyms(analytics: DemoData) -> None:
    seen = {}
    for role in ROLES.values():
        with psycopg.connect(URL, user=role.name) as opened:
            query = "SELECT id, name, email, country, plan, signed_up_at FROM analytics_users ORDER BY id"
            seen[role.personal] = opened.execute(query).fetchall()
    assert [row[0] for row in seen[True]] == [row[0] for row in seen[False]]
    assert [row[3:] for row in seen[True]] == [row[3:] for row in seen[False]]
    assert [row[1:3] for row in seen[False]] == [(f"masked-{row[0]}",) * 2 for row in seen[False]]
    assert not {row[1] for row in seen[True]} & {row[1] for row in seen[False]}
    assert all("@" in row[2] for row in seen[True])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT email FROM public.analytics_users",
        "SELECT count(email) FROM public.analytics_users",
        "SELECT 1 FROM public.analytics_users WHERE name = 'x'",
        "SELECT id FROM public.analytics_users",
        "SELECT most_common_vals FROM pg_statistic, pg_stats LIMIT 1",
    ],
)
def test_the_masked_role_has_no_way_to_the_table_behind_the_view(analytics: DemoData, query: str) -> None:
    with psycopg.connect(URL) as opened, pytest.raises(psycopg.errors.InsufficientPrivilege):
        opened.execute(query.encode())


def test_statistics_tell_the_masked_role_nothing(analytics: DemoData) -> None:
    _run("ANALYZE analytics_users")
    with psycopg.connect(URL) as opened:
        row = opened.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'analytics_users'").fetchone()
        assert row == (0,)


def test_without_its_password_nobody_is_the_role(analytics: DemoData, role: roles.Role) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(URL, user=role.name, password="wrong")


def test_roles_as_they_should_be_have_no_problems_and_the_check_says_nothing(analytics: DemoData) -> None:
    for personal in ROLES:
        assert roles.problems(URL, personal=personal) == []
    assert run_checks(tags=["database"], databases=["default"]) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("GRANT SELECT ON auth_user TO {}", "it may read or change auth_user"),
        ("GRANT SELECT (username) ON auth_user TO {}", "it may read or change auth_user"),
        ("GRANT INSERT ON analytics_purchases TO {}", "it may read or change analytics_purchases"),
        ("GRANT USAGE ON SEQUENCE analytics_users_id_seq TO {}", "it may use the sequence analytics_users_id_seq"),
        ("GRANT CREATE ON SCHEMA public TO {}", "it may create in schema public"),
        ("REVOKE SELECT ON analytics_purchases FROM {}", "it cannot read public.analytics_purchases"),
        ("ALTER ROLE {} SET statement_timeout = 0", "its setting statement_timeout is 0"),
        ("ALTER ROLE {} SET statement_timeout = '1h'", "its setting statement_timeout is 1h"),
        ("ALTER ROLE {} RESET transaction_timeout", "its setting transaction_timeout is 0"),
        ("ALTER ROLE {} SET lock_timeout = 0", "its setting lock_timeout is 0"),
        ("ALTER ROLE {} SET work_mem = '1GB'", "its setting work_mem is 1GB"),
        ("ALTER ROLE {} RESET temp_file_limit", "its setting temp_file_limit is -1"),
        ("ALTER ROLE {} SET max_parallel_workers_per_gather = 2", "its setting max_parallel_workers_per_gather is 2"),
        ("ALTER ROLE {} SET default_transaction_read_only = off", "its setting default_transaction_read_only is off"),
        ("ALTER ROLE {} SET search_path = public", "its setting search_path is public"),
        ("ALTER ROLE {} INHERIT", "it inherits rights of other roles"),
        ("ALTER ROLE {} CREATEDB", "it is a superuser or may create roles or databases"),
        ("ALTER ROLE {} CONNECTION LIMIT -1", "its connections are not limited"),
        ("ALTER ROLE {} NOLOGIN", "it cannot connect"),
        ("ALTER ROLE {} PASSWORD 'another'", "it cannot connect"),
    ],
)
def test_what_is_wrong_with_a_role_is_found_said_by_the_check_and_put_right_by_the_command(
    made_again: None, role: roles.Role, change: str, problem: str
) -> None:
    _run(change.format(f'"{role.name}"'))
    found = roles.problems(URL, personal=role.personal)
    assert len(found) == 1
    assert found[0].startswith(problem)
    (warning,) = run_checks(tags=["database"], databases=["default"])
    assert found[0] in warning.msg
    said = StringIO()
    call_command("create_agent_role", stdout=said)
    assert "can read the three analytics tables and nothing else" in said.getvalue()
    assert roles.problems(URL, personal=role.personal) == []


def test_temporary_tables_for_everybody_are_found(made_again: None) -> None:
    _run(f"GRANT TEMPORARY ON DATABASE {connection.settings_dict['NAME']} TO PUBLIC")
    assert roles.problems(URL, personal=False) == ["it may make temporary tables"]


def test_a_view_that_shows_what_it_should_mask_is_found_and_made_again(made_again: None) -> None:
    _run("CREATE OR REPLACE VIEW analytics_masked.analytics_users AS SELECT * FROM public.analytics_users")
    found = roles.problems(URL, personal=False)
    assert sorted(found) == [
        f"it sees personal data, since the view analytics_users reads the column {column}"
        for column in ("email", "name")
    ]
    assert roles.problems(URL, personal=True) == []
    call_command("create_agent_role", stdout=StringIO())
    assert roles.problems(URL, personal=False) == []


def test_the_masked_role_may_not_be_given_the_table_itself(made_again: None) -> None:
    _run(f'GRANT SELECT (email) ON public.analytics_users TO "{NAME}"')
    assert roles.problems(URL, personal=False) == ["it may read or change public.analytics_users"]


def test_the_command_ends_with_an_error_where_a_role_can_do_more_than_it_takes_back(analytics: DemoData) -> None:
    _run(f'CREATE ROLE readers; GRANT readers TO "{NAME}"')
    try:
        with pytest.raises(CommandError, match="it is a member of readers"):
            call_command("create_agent_role", stdout=StringIO())
    finally:
        _run("DROP ROLE readers")


def test_who_may_not_make_roles_is_told_what_an_administrator_must_run_and_that_is_enough(made_again: None) -> None:
    _run(f'ALTER ROLE "{NAME}" SET lock_timeout = 0; REVOKE SELECT ON analytics_purchases FROM "{NAME}"')
    said = StringIO()
    _run("CREATE ROLE plain; GRANT plain TO CURRENT_USER WITH SET TRUE; SET ROLE plain")
    try:
        with pytest.raises(CommandError, match="was not changed"):
            call_command("create_agent_role", stdout=said)
    finally:
        _run("RESET ROLE; DROP ROLE plain")
    heading, *statements = said.getvalue().splitlines()
    assert heading == "-- An administrator of PostgreSQL must run this in the database:"
    text = "\n".join(statements)
    assert f'ALTER ROLE "{NAME}" WITH LOGIN NOINHERIT NOCREATEDB NOCREATEROLE NOSUPERUSER' in text
    assert 'GRANT SELECT ON "analytics_masked"."analytics_users", "public"."analytics_purchases"' in text
    assert f"""ALTER ROLE "{NAME}" SET "temp_file_limit" = '256MB';""" in text
    password = ROLES[False].password
    assert password not in text
    assert roles.problems(URL, personal=False) != []
    # What an administrator who is no superuser may not even mention is no part of the test.
    text = text.replace(" NOSUPERUSER NOREPLICATION NOBYPASSRLS", "")
    _run(text.replace("the password in ANALYTICS_DATABASE_URL", password))
    assert roles.problems(URL, personal=False) == roles.problems(URL, personal=True) == []


def test_passwords_reach_the_server_hashed(made_again: None) -> None:
    _run(f'ALTER ROLE "{NAME}" SET lock_timeout = 0')
    seen: list[str] = []

    def look(execute: object, statement: object, params: object, many: bool, context: dict[str, object]) -> object:
        opened = connection.connection
        seen.append(statement.as_string(opened) if isinstance(statement, sql.Composed) else str(statement))
        return execute(statement, params, many, context)  # type: ignore[operator]

    with connection.execute_wrapper(look):
        call_command("create_agent_role", stdout=StringIO())
    text = "\n".join(seen)
    assert "PASSWORD 'SCRAM-SHA-256$" in text
    assert ROLES[False].password not in text


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


def test_the_check_says_what_is_missing_and_asks_only_where_a_database_is_named(settings: Settings) -> None:
    assert run_checks(tags=["database"]) == []
    settings.ANALYTICS_DATABASE_URL = None
    (warning,) = run_checks(tags=["database"], databases=["default"])
    assert "ANALYTICS_DATABASE_URL is not set" in warning.msg
    settings.ANALYTICS_DATABASE_URL = "postgres://someone@127.0.0.1/x"
    (warning,) = run_checks(tags=["database"], databases=["default"])
    assert "must name a role and its password" in warning.msg
    settings.ANALYTICS_DATABASE_URL = "postgres://nobody:nothing@127.0.0.1:1/nothing"
    assert [warning.id for warning in run_checks(tags=["database"], databases=["default"])] == ["data_agent.W003"] * 2
