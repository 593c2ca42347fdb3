"""Mutates both corpora. Whatever is made of them, what the guard lets through reads the three tables and nothing else.

What it lets through is judged by other means than the guard's own: another walk over the tree, PostgreSQL's planner,
and running it.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import postgast
import psycopg
import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from data_agent import roles
from data_agent.demo_data import DemoData
from data_agent.guard import check, policy
from data_agent.schema import SCHEMA
from tests.data_agent import plans
from tests.data_agent.corpus import hostile, legitimate

# TEST_FUZZ_EXAMPLES=20000 makes a long run of it; give it time with `-o timeout=3600`.
EXAMPLES = int(os.environ.get("TEST_FUZZ_EXAMPLES", "400"))
_TOKENS = re.compile(r"\s+|\w+|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|.", re.DOTALL)
_TEXTS = [statement.sql for statement in (*legitimate(), *hostile()) if len(statement.sql) < 2_000]
_LEGITIMATE = [statement.sql for statement in legitimate()]
_WORDS = [
    "auth_user",
    "pg_sleep(1)",
    "pg_read_file('x')",
    "da_audit_event",
    "public.",
    "pg_catalog.",
    "analytics_users",
    "analytics_purchases",
    "u",
    "name",
    "email",
    "password",
    ";",
    "--",
    "/*",
    "*/",
    "(",
    ")",
    ",",
    ".",
    "*",
    "LATERAL",
    "WITH",
    "RECURSIVE",
    "AS",
    "UNION",
    "INTO",
    "FOR",
    "UPDATE",
    "USING",
    "(id)",
    "NATURAL",
    "JOIN",
    "LIMIT",
    "OFFSET",
    "::regclass",
    "::text",
    "current_user",
    "$1",
    "''",
    '""',
    "E'\\x41'",
    "xmin",
    "pg_column_size",
    "repeat('x',9)",
    "(u).id",
    "u.*",
    "GROUP",
    "BY",
    "ROLLUP",
    "generate_series(1,3)",
    "FROM",
    "SELECT",
    "analytics_masked.",
    "1000000",
    "DELETE",
    "RETURNING",
    "VALUES",
]

# What PostgreSQL may say of a statement that is allowed: it has types, and the guard knows none.
_OUTSIDE = {
    "42501",  # a right is missing
    "25006",  # it would have written
    "42P01",  # a table that does not exist
    "3F000",  # a schema that does not exist
    "XX000",  # an internal error
}


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """Take a statement and change a few of its words, or put part of another one into it."""
    tokens = _TOKENS.findall(draw(st.sampled_from(_TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(tokens) - 1)))
        match draw(st.sampled_from(("drop", "double", "word", "splice", "swap", "case", "wrap"))):
            case "drop":
                del tokens[place : place + draw(st.integers(1, 3))]
            case "double":
                tokens[place:place] = tokens[place : place + draw(st.integers(1, 6))]
            case "word":
                tokens[place : place + draw(st.integers(0, 1))] = [" ", draw(st.sampled_from(_WORDS)), " "]
            case "splice":
                other = _TOKENS.findall(draw(st.sampled_from(_TEXTS)))
                start = draw(st.integers(0, len(other)))
                tokens[place:place] = other[start : start + draw(st.integers(1, 12))]
            case "swap" if len(tokens) > 1:
                other_place = draw(st.integers(0, len(tokens) - 1))
                tokens[place], tokens[other_place] = tokens[other_place], tokens[place]
            case "case" if tokens:
                tokens[place] = tokens[place].swapcase()
            case "wrap":
                tokens[place:place] = ["(", draw(st.sampled_from(_TEXTS)), ")"]
    return "".join(tokens)


def _walk(message: Any) -> Iterator[Any]:
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for child in (value,) if hasattr(value, "ListFields") else value:
                yield from _walk(child)


def _judge_by_another_walk(sql: str) -> None:
    """Fail unless the text is one SELECT that names no table, function or type but those that are listed."""
    tree = postgast.parse(sql)
    assert len(tree.stmts) == 1
    nodes = list(_walk(tree.stmts[0].stmt))
    names = {type(node).DESCRIPTOR.name for node in nodes}
    assert not names & {"IntoClause", "LockingClause", "ParamRef", "CurrentOfExpr"}
    assert {name for name in names if name.endswith("Stmt")} == {"SelectStmt"}
    ctes = {node.ctename for node in nodes if type(node).__name__ == "CommonTableExpr"}
    assert not ctes & set(SCHEMA)
    for node in nodes:
        match type(node).__name__:
            case "RangeVar":
                assert node.schemaname == node.catalogname == ""
                assert node.relname in SCHEMA or node.relname in ctes
            case "FuncCall":
                assert node.funcname[-1].string.sval in policy.FUNCTIONS
                assert len(node.funcname) == 1 or node.funcname[0].string.sval == "pg_catalog"
            case "TypeName":
                assert node.names[-1].string.sval in policy.TYPES
    limit = tree.stmts[0].stmt.select_stmt.limit_count.a_const.ival.ival
    assert 0 <= limit <= policy.MAX_ROWS


@fuzzing(max_examples=EXAMPLES * 3, deadline=None)
@given(mutants())
def test_no_mutant_crashes_the_guard_or_gets_past_it(text: str) -> None:
    verdict = check(text)
    assert not any("could not be checked" in reason for reason in verdict.reasons)
    if verdict.allowed:
        _judge_by_another_walk(verdict.sql)
        again = check(verdict.sql)
        assert (again.sql, again.warnings, again.tables) == (verdict.sql, (), verdict.tables)
        assert verdict.tables


@pytest.fixture
def agents(analytics: DemoData) -> Iterator[list[psycopg.Connection]]:
    """A connection as each of the two roles."""
    url = settings.ANALYTICS_DATABASE_URL
    opened = [psycopg.connect(url, user=role.name, autocommit=True) for role in roles.both(url)]
    for connection in opened:
        connection.execute("SET statement_timeout = '300ms'")
    yield opened
    for connection in opened:
        connection.close()


@fuzzing(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(text=mutants(), personal=st.booleans())
def test_what_is_let_through_runs_read_only_on_the_three_tables(
    agents: list[psycopg.Connection], text: str, personal: bool
) -> None:
    verdict = check(text, personal=personal)
    if not verdict.allowed:
        return
    agent = agents[personal]
    try:
        plan = plans.plan_of(agent, verdict.sql)
        assert plans.relations(plan) <= {f"public.{table}" for table in verdict.tables}
        assert plans.functions(plan) <= policy.FUNCTIONS
        agent.execute(verdict.sql.encode())
    except psycopg.Error as error:
        assert error.sqlstate not in _OUTSIDE, (verdict.sql, str(error))


@given(st.text(max_size=300))
def test_no_text_makes_the_guard_raise(text: str) -> None:
    assert not check(text).allowed


_FEW_WORDS = """SELECT FROM WITH AS ( ) , . * ; a u analytics_users auth_user name count 1 = UNION JOIN ON LIMIT LATERAL
VALUES WHERE IN"""


@given(st.lists(st.sampled_from(_FEW_WORDS.split()), max_size=30))
def test_no_order_of_words_reads_another_table(words: list[str]) -> None:
    verdict = check(" ".join(words))
    assert set(verdict.tables) <= {"analytics_users"}
    assert not verdict.allowed or verdict.tables
