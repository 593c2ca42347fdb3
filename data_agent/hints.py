"""Mends and explains what a model's query gets wrong: values that are not in the tables, and PostgreSQL's errors.

Small models write 'Pro' for 'pro' and 'USA' for 'United States', and get no error for it, only no rows. Which values
a column has is known (`data_agent.samples`), so a clear slip is corrected, and said; a value of another column is
looked for there; any other value is a problem that the model is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import postgast
from google.protobuf.message import DecodeError

from config.sentences import say
from data_agent import conditions, excess, measures, periods, properties, samples, slips
from data_agent.guard.trees import parts
from data_agent.samples import Known
from data_agent.schema import PRODUCT_SPECS, SCHEMA

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
    notes = [*slips.correct(tree), *properties.correct(tree, known), *periods.correct(tree, question)]
    notes += measures.correct(tree, question, known)
    notes += excess.take_out(tree, said or question, known)
    problems: list[str] = []
    for node, column, constant in list(_compared(tree)):
        name, value = _last(column), constant.sval.sval
        values = known.of_column(name)
        if not values or value in values:
            continue
        meant = samples.nearest(value, values)
        if meant is not None:
            constant.sval.sval = meant
            notes.append(say("“%(value)s” was changed to “%(meant)s”, as the data has it.", value=value, meant=meant))
        elif (other := known.column_of(value)) is not None and _compare_with(node, column, *other):
            notes.append(
                say(
                    "“%(value)s” is no %(name)s: it is looked for in %(other)s now.",
                    value=value,
                    name=name,
                    other=str(other[0]),
                )
            )
        elif (own := properties.named(value, known)) and _look_for(node, column, own):
            notes.append(
                say(
                    "“%(value)s” is no %(name)s: it is looked for by %(how)s.",
                    value=value,
                    name=name,
                    how=" AND ".join(own),
                )
            )
        else:
            compared, listed = f"{name} = '{value}'", ", ".join(values)
            problems.append(
                say("No row has %(value)s; the values are %(values)s.", value=compared, values=listed)
                if len(values) <= samples.FEW
                else say("No row has %(value)s.", value=compared)
            )
    if not notes:
        return Mended(sql, (), tuple(dict.fromkeys(problems)))
    return Mended(postgast.deparse(tree), tuple(dict.fromkeys(notes)), tuple(dict.fromkeys(problems)))


def _compared(tree: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the comparisons for being equal, each with its column and a constant text."""
    for node in parts(tree):
        if node.DESCRIPTOR.name != "Node" or node.WhichOneof("node") != "a_expr":
            continue
        message = node.a_expr
        if not message.name or message.name[-1].string.sval not in _EQUAL:
            continue
        for one, other in ((message.lexpr, message.rexpr), (message.rexpr, message.lexpr)):
            if one.WhichOneof("node") != "column_ref" or not _last(one):
                continue
            others = list(other.list.items) if other.WhichOneof("node") == "list" else [other]
            for each in others:
                if each.WhichOneof("node") == "a_const" and each.a_const.WhichOneof("val") == "sval":
                    yield node, one, each.a_const


def _last(column: Any) -> str:
    """Return a column's name without its table's; empty for `*`."""
    fields = column.column_ref.fields
    return str(fields[-1].string.sval) if fields and fields[-1].WhichOneof("node") == "string" else ""


def _compare_with(node: Any, column: Any, owner: str, value: str) -> bool:
    """Compare with the column, named with its table, that has the value; return whether that can be done."""
    table, _, name = owner.partition(".")
    if not _is_one_value(node):
        return False
    if _last(column) in SCHEMA[table].column_names:
        column.column_ref.fields[-1].string.sval = name
        node.a_expr.rexpr.a_const.sval.sval = value
        return True
    if _last(column) != "product_name" or table != PRODUCT_SPECS.name:
        return False
    made = _among_products(column, f"{name} = 'x'")
    made.sub_link.subselect.select_stmt.where_clause.a_expr.rexpr.a_const.sval.sval = value
    node.CopyFrom(made)
    return True


def _look_for(node: Any, column: Any, own: tuple[str, ...]) -> bool:
    """Compare with what the products have that a name stands for; return whether that can be done."""
    if not _is_one_value(node):
        return False
    together = " AND ".join(own)
    if _last(column) == "product_name":
        made = _among_products(column, together)
    elif _last(column) in PRODUCT_SPECS.column_names:
        made = conditions.read(together)
        for each in [message for message in parts(made) if message.DESCRIPTOR.name == "ColumnRef"]:
            name = each.fields[-1].string.sval
            each.CopyFrom(column.column_ref)
            each.fields[-1].string.sval = name
    else:
        return False
    node.CopyFrom(made)
    return True


def _is_one_value(node: Any) -> bool:
    return bool(node.a_expr.rexpr.WhichOneof("node") == "a_const" and node.a_expr.name[-1].string.sval == "=")


def _among_products(column: Any, where: str) -> Any:
    """Return the condition that a column has the name of such a product."""
    made = conditions.read(f"1 IN (SELECT name FROM {PRODUCT_SPECS.name} WHERE {where})")
    made.sub_link.testexpr.CopyFrom(column)
    return made
