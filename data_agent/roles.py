"""The database roles that run approved queries: they can read three tables and do nothing else.

There are two. The one that ANALYTICS_DATABASE_URL names sees a view in place of the table with personal data, in which
such columns hold pseudonyms; it has no right to the table itself. The other one, with `_personal` at the end of its
name and the same password, reads the table: it is for people who may see personal data.

PostgreSQL gives every role more than one expects: temporary tables in each database, the use of schema public,
membership that inherits. So it is taken from PUBLIC here, and `problems` asks the server what a role can really do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psycopg
from django.db import connection
from psycopg import sql

from data_agent.schema import TABLES, Table

CONNECTION_LIMIT = 20
MASKS = "analytics_masked"

# Settings that hold for each connection of the role; a query cannot change them, as it cannot contain SET.
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "transaction_timeout": "15s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "20s",
    "idle_session_timeout": "1min",
    # A query whose client is gone is ended, also where nobody is left to cancel it.
    "client_connection_check_interval": "1s",
    "work_mem": "16MB",
    "hash_mem_multiplier": "1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # The guard reads texts by this rule.
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}
# For this one a superuser is needed, or who was given it (GRANT SET ON PARAMETER).
TEMP_FILE_LIMIT = {"temp_file_limit": "256MB"}


@dataclass(frozen=True, slots=True)
class Role:
    """Name and password of a role, and whether it sees personal data."""

    name: str
    password: str
    personal: bool = False

    @property
    def search_path(self) -> tuple[str, ...]:
        """Schemas in which its tables are found, in order; temporary ones come last, as nobody may hide a table."""
        return ("public", "pg_temp") if self.personal else (MASKS, "public", "pg_temp")

    @property
    def readable(self) -> list[tuple[str, str]]:
        """Schema and name of all that it may read."""
        return [(MASKS if _masked(table) and not self.personal else "public", table.name) for table in TABLES]


def from_url(url: str, *, personal: bool = False) -> Role:
    """Return the role that an address names, or the one beside it that sees personal data.

    Raises ValueError where name or password is missing.
    """
    parts = urlsplit(url)
    if not parts.username or not parts.password:
        raise ValueError("ANALYTICS_DATABASE_URL must name a role and its password: postgres://role:password@host/name")
    name = unquote(parts.username)
    return Role(f"{name}_personal" if personal else name, unquote(parts.password), personal)


def both(url: str) -> tuple[Role, Role]:
    """Return the two roles; raises ValueError where name or password is missing."""
    return from_url(url), from_url(url, personal=True)


@dataclass(frozen=True, slots=True)
class Powers:
    """What is there already, and what the database user that we are may do about it."""

    existing: frozenset[str]
    superuser: bool
    temp_file_limit: bool
    # Role, schema and name of all that the roles themselves were given rights on.
    granted: tuple[tuple[str, str, str], ...] = ()


def statements(roles: Sequence[Role], powers: Powers, database: str) -> list[sql.Composed]:
    """Return what must be run, in order, to make the roles or to bring them to what they should be."""
    names = sql.SQL(", ").join(sql.Identifier(role.name) for role in roles)
    compose = sql.SQL
    database_name = sql.Identifier(database)
    return [
        *(_create(role, powers) for role in roles),
        compose("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database_name),
        compose("REVOKE ALL ON DATABASE {} FROM {}").format(database_name, names),
        compose("GRANT CONNECT ON DATABASE {} TO {}").format(database_name, names),
        compose("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(names),
        compose("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(MASKS)),
        *(_view(table) for table in TABLES if _masked(table)),
        *(
            compose("REVOKE ALL ON {} FROM {}").format(sql.Identifier(schema, name), sql.Identifier(role))
            for role, schema, name in powers.granted
        ),
        *(statement for role in roles for statement in _grants(role)),
        *(statement for role in roles for statement in _settings(role, powers)),
    ]


def _create(role: Role, powers: Powers) -> sql.Composed:
    # What only a superuser may even mention is left out for others: a new role does not have it.
    attributes = "LOGIN NOINHERIT NOCREATEDB NOCREATEROLE"
    if powers.superuser:
        attributes += " NOSUPERUSER NOREPLICATION NOBYPASSRLS"
    return sql.SQL("{verb} ROLE {name} WITH {attributes} CONNECTION LIMIT {limit} PASSWORD {password}").format(
        verb=sql.SQL("ALTER" if role.name in powers.existing else "CREATE"),
        name=sql.Identifier(role.name),
        attributes=sql.SQL(attributes),
        limit=sql.Literal(CONNECTION_LIMIT),
        password=sql.Literal(role.password),
    )


def _view(table: Table) -> sql.Composed:
    """Return the view that shows pseudonyms: equal for equal rows, so that counting and grouping go on as before."""
    columns = [
        sql.SQL("'masked-' || id AS {}").format(sql.Identifier(column.name))
        if column.personal
        else sql.Identifier(column.name)
        for column in table.columns
    ]
    return sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {}").format(
        sql.Identifier(MASKS, table.name), sql.SQL(", ").join(columns), sql.Identifier("public", table.name)
    )


def _grants(role: Role) -> list[sql.Composed]:
    name = sql.Identifier(role.name)
    schemas = sql.SQL(", ").join(sql.Identifier(schema) for schema in role.search_path if schema != "pg_temp")
    relations = sql.SQL(", ").join(sql.Identifier(*path) for path in role.readable)
    return [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schemas, name),
        sql.SQL("GRANT SELECT ON {} TO {}").format(relations, name),
    ]


def _settings(role: Role, powers: Powers) -> list[sql.Composed]:
    values = {name: sql.Literal(value) for name, value in SETTINGS.items()}
    if powers.temp_file_limit:
        values |= {name: sql.Literal(value) for name, value in TEMP_FILE_LIMIT.items()}
    path = sql.SQL(", ").join(sql.Identifier(schema) for schema in role.search_path)
    return [
        sql.SQL("ALTER ROLE {} SET {} = {}").format(sql.Identifier(role.name), sql.Identifier(setting), value)
        for setting, value in [*values.items(), ("search_path", path)]
    ]


def _masked(table: Table) -> bool:
    return bool(table.personal_columns)


def powers(roles: Sequence[Role]) -> Powers:
    """Return what is there and what the database user that we are may do."""
    names = [role.name for role in roles]
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [names])
        existing = frozenset(str(name) for (name,) in cursor.fetchall())
        cursor.execute(
            "SELECT current_setting('is_superuser') = 'on', has_parameter_privilege('temp_file_limit', 'SET')"
        )
        superuser, temp_file_limit = cursor.fetchone()
        cursor.execute(_GRANTED, [names])
        granted = tuple((str(role), str(schema), str(name)) for role, schema, name in cursor.fetchall())
    return Powers(existing, superuser, temp_file_limit, granted)


def problems(url: str, *, personal: bool) -> list[str]:
    """Return what is wrong with a role, as sentences: asked of the server, as that role. Nothing if it is right.

    Raises ValueError for an address without name or password.
    """
    role = from_url(url, personal=personal)
    try:
        with psycopg.connect(url, user=role.name, connect_timeout=5, autocommit=True) as opened:
            rows = opened.execute(PROBLEMS, problem_parameters(role)).fetchall()
    except psycopg.Error as error:
        # The message may hold the address; what the server itself says is in its SQLSTATE.
        return [f"it cannot connect ({error.sqlstate or type(error).__name__})"]
    return [str(row[0]) for row in rows]


def problem_parameters(role: Role) -> dict[str, object]:
    """Return the parameters of `PROBLEMS`."""
    return {
        "schemas": [schema for schema, _ in role.readable],
        "tables": [name for _, name in role.readable],
        "masked": [] if role.personal else [table.name for table in TABLES if _masked(table)],
        "masked_columns": [] if role.personal else [name for table in TABLES for name in table.personal_columns],
        "search_path": ", ".join(role.search_path),
    }


# Not REVOKE ... ON ALL TABLES: that complains of each one that belongs to somebody else.
_GRANTED = """
SELECT DISTINCT r.rolname, n.nspname, c.relname
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolname = ANY (%s)
 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
   AND (EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid)
        OR EXISTS (SELECT FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = c.oid AND a.grantee = r.oid))
"""

# Run as the role. Rights beyond reading what it should read, reading that is missing, and bounds that do not hold.
PROBLEMS = """
WITH me AS MATERIALIZED (SELECT * FROM pg_roles WHERE rolname = current_user),
readable AS MATERIALIZED (
  SELECT schema, name, to_regclass(quote_ident(schema) || '.' || quote_ident(name)) AS relation
    FROM unnest(%(schemas)s::text[], %(tables)s::text[]) AS r(schema, name)
),
relations AS MATERIALIZED (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND n.nspname NOT LIKE 'pg\\_toast%%' AND n.nspname NOT LIKE 'pg\\_temp%%'
)
SELECT 'the server is older than PostgreSQL 17, which has no transaction_timeout'
 WHERE current_setting('server_version_num')::int < 170000
UNION ALL
SELECT 'it is a superuser or may create roles or databases, replicate or pass row security'
  FROM me WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL
SELECT 'it inherits rights of other roles' FROM me WHERE rolinherit
UNION ALL
SELECT 'its connections are not limited' FROM me WHERE rolconnlimit < 0
UNION ALL
SELECT 'it is a member of ' || m.roleid::regrole::text FROM pg_auth_members m JOIN me ON m.member = me.oid
UNION ALL
SELECT 'it may make temporary tables' WHERE has_database_privilege(current_database(), 'TEMPORARY')
UNION ALL
SELECT 'it may create schemas' WHERE has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT 'it may create in schema ' || n.nspname
  FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_%%' AND has_schema_privilege(n.oid, 'CREATE')
UNION ALL
SELECT 'it may read or change ' || c.oid::regclass::text
  FROM relations c
 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
   AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'
                                   || CASE WHEN current_setting('server_version_num')::int >= 170000
                                           THEN ', MAINTAIN' ELSE '' END)
        OR has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES')
        OR (has_any_column_privilege(c.oid, 'SELECT')
            AND NOT EXISTS (SELECT FROM readable WHERE relation = c.oid)))
UNION ALL
SELECT 'it may use the sequence ' || c.oid::regclass::text
  FROM relations c WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, SELECT, UPDATE') END
UNION ALL
SELECT 'it may run ' || p.oid::regprocedure::text || ' with the rights of its owner'
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND has_function_privilege(p.oid, 'EXECUTE')
UNION ALL
SELECT 'it was given the function ' || p.oid::regprocedure::text
  FROM pg_proc p, aclexplode(p.proacl) a, me WHERE p.proacl IS NOT NULL AND a.grantee = me.oid
UNION ALL
SELECT 'it was given the setting ' || p.parname FROM pg_parameter_acl p, aclexplode(p.paracl) a, me
 WHERE a.grantee = me.oid
UNION ALL
SELECT 'it owns ' || c.oid::regclass::text FROM pg_class c JOIN me ON c.relowner = me.oid
UNION ALL
SELECT 'it sees personal data, since the view ' || v.relation::text || ' reads the column ' || a.attname
  FROM readable v
  JOIN pg_rewrite r ON r.ev_class = v.relation
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> v.relation
  JOIN pg_class c ON c.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
 WHERE c.relname = ANY (%(masked)s::text[]) AND a.attname = ANY (%(masked_columns)s::text[])
UNION ALL
SELECT 'it cannot read ' || schema || '.' || name
  FROM readable WHERE relation IS NULL OR NOT has_table_privilege(relation, 'SELECT')
UNION ALL
SELECT 'its setting ' || name || ' is ' || coalesce(current_setting(name, true), 'missing') || ', not ' || value
  FROM (VALUES ('default_transaction_read_only', 'on'), ('max_parallel_workers_per_gather', '0'),
               ('standard_conforming_strings', 'on'), ('search_path', %(search_path)s)) AS v(name, value)
 WHERE current_setting(name, true) IS DISTINCT FROM value
UNION ALL
SELECT 'its setting ' || name || ' is ' || coalesce(current_setting(name, true), 'missing') || ', not more than 0 and '
       || 'at most ' || value
  FROM (VALUES ('statement_timeout', '10s'), ('transaction_timeout', '15s'), ('lock_timeout', '1s'),
               ('idle_in_transaction_session_timeout', '20s'),
               ('client_connection_check_interval', '1s')) AS v(name, value)
 WHERE (coalesce(current_setting(name, true), '0')::interval BETWEEN '1ms' AND value::interval) IS NOT TRUE
UNION ALL
SELECT 'its setting ' || name || ' is ' || current_setting(name) || ', not at most ' || value
  FROM (VALUES ('work_mem', '16MB'), ('temp_file_limit', '256MB')) AS v(name, value)
 WHERE pg_size_bytes(current_setting(name)) NOT BETWEEN 0 AND pg_size_bytes(value)
"""
