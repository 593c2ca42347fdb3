"""The database role that runs approved queries: it can read three tables and do nothing else.

PostgreSQL gives every role more than one expects: temporary tables in each database, the use of schema public,
membership that inherits. So it is taken from PUBLIC here, and `excess` asks the server what the role can really do.
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.db import connection
from psycopg import sql

from data_agent.schema import TABLES

CONNECTION_LIMIT = 20

# Settings that hold for each connection of the role; a query cannot change them, as it cannot contain SET.
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "transaction_timeout": "15s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "20s",
    "idle_session_timeout": "1min",
    "work_mem": "16MB",
    "hash_mem_multiplier": "1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "search_path": "public",
    "TimeZone": "UTC",
}
# For this one a superuser is needed, or who was given it (GRANT SET ON PARAMETER); without it a query may spill as much
# to disk as it can in its seconds.
TEMP_FILE_LIMIT = {"temp_file_limit": "256MB"}


@dataclass(frozen=True, slots=True)
class Role:
    """Name and password of the role."""

    name: str
    password: str


def from_url(url: str) -> Role:
    """Return the role that an address names; raises ValueError where name or password is missing."""
    parts = urlsplit(url)
    if not parts.username or not parts.password:
        raise ValueError("ANALYTICS_DATABASE_URL must name a role and its password: postgres://role:password@host/name")
    return Role(unquote(parts.username), unquote(parts.password))


@dataclass(frozen=True, slots=True)
class Powers:
    """What is there already, and what the database user that we are may do about it."""

    exists: bool
    superuser: bool
    temp_file_limit: bool
    # Schema and name of all that the role itself was given rights on.
    granted: tuple[tuple[str, str], ...] = ()


def statements(role: Role, powers: Powers, database: str) -> list[sql.Composed]:
    """Return what must be run, in order, to make the role or to bring it to what it should be."""
    name = sql.Identifier(role.name)
    tables = sql.SQL(", ").join(sql.Identifier("public", table.name) for table in TABLES)
    # What only a superuser may even mention is left out for others: a new role does not have it.
    attributes = "LOGIN NOINHERIT NOCREATEDB NOCREATEROLE"
    if powers.superuser:
        attributes += " NOSUPERUSER NOREPLICATION NOBYPASSRLS"
    compose = sql.SQL
    result = [
        compose("{verb} ROLE {name} WITH {attributes} CONNECTION LIMIT {limit} PASSWORD {password}").format(
            verb=compose("ALTER" if powers.exists else "CREATE"),
            name=name,
            attributes=compose(attributes),
            limit=sql.Literal(CONNECTION_LIMIT),
            password=sql.Literal(role.password),
        ),
        compose("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC").format(database=sql.Identifier(database)),
        compose("REVOKE ALL ON DATABASE {database} FROM {name}").format(database=sql.Identifier(database), name=name),
        compose("GRANT CONNECT ON DATABASE {database} TO {name}").format(database=sql.Identifier(database), name=name),
        compose("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {name}").format(name=name),
        compose("GRANT USAGE ON SCHEMA public TO {name}").format(name=name),
        *(
            compose("REVOKE ALL ON {relation} FROM {name}").format(relation=sql.Identifier(*path), name=name)
            for path in powers.granted
        ),
        compose("GRANT SELECT ON {tables} TO {name}").format(tables=tables, name=name),
    ]
    for setting, value in {**SETTINGS, **(TEMP_FILE_LIMIT if powers.temp_file_limit else {})}.items():
        result.append(
            compose("ALTER ROLE {name} SET {setting} = {value}").format(
                name=name, setting=sql.Identifier(setting), value=sql.Literal(value)
            )
        )
    return result


def powers(role: Role) -> Powers:
    """Return what the database user that we are may do."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s),
                   current_setting('is_superuser') = 'on',
                   has_parameter_privilege('temp_file_limit', 'SET')
            """,
            [role.name],
        )
        exists, superuser, temp_file_limit = cursor.fetchone()
        cursor.execute(_GRANTED, [role.name])
        granted = tuple((str(schema), str(name)) for schema, name in cursor.fetchall())
    return Powers(exists, superuser, temp_file_limit, granted)


def excess(role: Role) -> list[str]:
    """Return what the role can do beyond reading the three tables, as sentences; nothing if it is as it should be."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCESS, {"role": role.name, "tables": [table.name for table in TABLES]})
        return [str(row[0]) for row in cursor.fetchall()]


# Not REVOKE ... ON ALL TABLES: that complains of each one that belongs to somebody else.
_GRANTED = """
SELECT DISTINCT n.nspname, c.relname
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolname = %s
 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
   AND (EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid)
        OR EXISTS (SELECT FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = c.oid AND a.grantee = r.oid))
"""

_EXCESS = """
SELECT 'it is a superuser or may create roles or databases, replicate or pass row security'
  FROM pg_roles
 WHERE rolname = %(role)s AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
UNION ALL
SELECT 'it is a member of ' || m.roleid::regrole::text
  FROM pg_auth_members m WHERE m.member = (SELECT oid FROM pg_roles WHERE rolname = %(role)s)
UNION ALL
SELECT 'it may make temporary tables' WHERE has_database_privilege(%(role)s, current_database(), 'TEMPORARY')
UNION ALL
SELECT 'it may create schemas' WHERE has_database_privilege(%(role)s, current_database(), 'CREATE')
UNION ALL
SELECT 'it may create in schema ' || n.nspname
  FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_%%' AND has_schema_privilege(%(role)s, n.oid, 'CREATE')
UNION ALL
SELECT 'it may read or change ' || c.oid::regclass::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg\\_toast%%' AND n.nspname NOT LIKE 'pg\\_temp%%'
   AND (
     has_table_privilege(%(role)s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN')
     OR has_any_column_privilege(%(role)s, c.oid, 'INSERT, UPDATE, REFERENCES')
     OR (has_any_column_privilege(%(role)s, c.oid, 'SELECT')
         AND NOT (n.nspname = 'public' AND c.relname = ANY (%(tables)s)))
   )
UNION ALL
SELECT 'it may use the sequence ' || c.oid::regclass::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(%(role)s, c.oid, 'USAGE, SELECT, UPDATE') END
UNION ALL
SELECT 'it may run ' || p.oid::regprocedure::text || ' with the rights of its owner'
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
UNION ALL
SELECT 'it owns ' || c.oid::regclass::text
  FROM pg_class c WHERE c.relowner = (SELECT oid FROM pg_roles WHERE rolname = %(role)s)
"""
