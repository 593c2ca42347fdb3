"""What PostgreSQL itself says of a statement: the tables that its plan reads, and the functions that it calls.

Plans name also what the text hides, such as the call in `SELECT u.pg_column_size FROM analytics_users u`.
"""

import re
from collections.abc import Iterator
from typing import Any

import psycopg

from data_agent.guard import policy

# Names before a bracket; casts look like calls of a type: `(price)::numeric(8,1)`.
_CALL = re.compile(r'(?<![\w"])([a-z_]\w*|"[^"]+")\(')
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_TYPES = policy.TYPES | {"character", "varying"}


def plan_of(connection: psycopg.Connection, sql: str) -> Any:
    """Return the plan of a statement, with all that each node gives and filters."""
    row = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}".encode()).fetchone()
    assert row is not None
    return row[0]


def relations(plan: Any) -> set[str]:
    """Return the tables of a plan, as schema.name."""
    return {f"{node['Schema']}.{node['Relation Name']}" for node in _nodes(plan) if "Relation Name" in node}


def functions(plan: Any) -> set[str]:
    """Return the functions that a plan calls."""
    texts = [_LITERAL.sub("''", text) for node in _nodes(plan) for text in _texts(list(node.values()))]
    return {name.strip('"') for text in texts for name in _CALL.findall(text)} - _TYPES


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(each)


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, str))
