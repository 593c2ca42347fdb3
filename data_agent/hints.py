"""Mends and explains what a model's query gets wrong: values that are not in the tables, and PostgreSQL's errors.

Small models write 'Pro' for 'pro' and 'USA' for 'United States', and get no error for it, only no rows. Which values
a column has is known (`data_agent.samples`), so a clear slip is corrected, and said; another value is a problem that
the model is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import postgast
from google.protobuf.message import DecodeError

from data_agent import excess, measures, samples, slips
from data_agent.guard.trees import parts
from data_agent.samples import Known

# Long texts nest deeply, and the parser's stack is the thread's.
_MAX_LENGTH = 4_000
_EQUAL = frozenset({"=", "<>"})


# What PostgreSQL's errors mean for who wrote the query, by a part of their text.
_ADVICE = {
    "must appear in the GROUP BY clause": (
        "Select only columns that are in GROUP BY, and aggregates; filter groups with HAVING, in the same SELECT."
    ),
    "aggregate functions are not allowed in WHERE": "Filter groups with HAVING, or in an outer SELECT.",
    "window functions are not allowed in": "Compute it in a sub-query and filter outside of it.",
    "is ambiguous": "Write the table's alias in front of the column.",
    "operator does not exist": "Cast one side, such as (specs ->> 'ram_gb')::numeric.",
    "invalid input syntax for type": "Compare with a value of the column's own type.",
    "division by zero": "Divide by nullif(…, 0).",
    "took longer than": "Aggregate each table before it is joined.",
}


def advice(problem: str) -> str:
    """Return what to do about a problem, for a model; empty where the problem says it itself."""
    return next((f" {text}" for part, text in _ADVICE.items() if part in problem), "")


@dataclass(frozen=True, slots=True)
class Mended:
    """A query with its values as the tables have them; `notes` say what was changed, `problems` what could not be."""

    sql: str
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def mend(sql: str, known: Known, question: str = "", said: str = "") -> Mended:
    """Return an allowed query with the values it compares with, and what else is a clear slip, put right.

    `question` is what the query alone is to answer, `said` all that the person said so far; without them, what depends
    on their words is left as it is.
    """
    if len(sql) > _MAX_LENGTH:
        return Mended(sql)
    try:
        tree = postgast.parse(sql)
    except (postgast.PgQueryError, DecodeError):
        return Mended(sql)
    if not tree.stmts:
        return Mended(sql)
    notes = [
        *slips.correct(tree),
        *measures.correct(tree, question, known),
        *excess.take_out(tree, said or question, known),
    ]
    problems: list[str] = []
    for column, constant in _compared(tree):
        values = known.of_column(column)
        value = constant.sval.sval
        if not values or value in values:
            continue
        meant = samples.nearest(value, values)
        if meant is not None:
            constant.sval.sval = meant
            notes.append(f"“{value}” was changed to “{meant}”, as the data has it.")
        elif len(values) <= samples.FEW:
            problems.append(f"No row has {column} = '{value}'; the values are {', '.join(values)}.")
        else:
            problems.append(f"No row has {column} = '{value}'.")
    if not notes:
        return Mended(sql, (), tuple(dict.fromkeys(problems)))
    return Mended(postgast.deparse(tree), tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(problems)))


def _compared(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the columns that are compared for being equal, each with the constant text."""
    for message in parts(tree):
        if message.DESCRIPTOR.name != "A_Expr" or not message.name or message.name[-1].string.sval not in _EQUAL:
            continue
        for one, other in ((message.lexpr, message.rexpr), (message.rexpr, message.lexpr)):
            if one.WhichOneof("node") != "column_ref":
                continue
            fields = one.column_ref.fields
            if not fields or fields[-1].WhichOneof("node") != "string":
                continue
            column = fields[-1].string.sval
            others = list(other.list.items) if other.WhichOneof("node") == "list" else [other]
            for each in others:
                if each.WhichOneof("node") == "a_const" and each.a_const.WhichOneof("val") == "sval":
                    yield column, each.a_const
