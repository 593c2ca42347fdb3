"""Lets a period end with its last day: what small models get wrong most of months and years.

`purchased_at <= '2025-12-31'` ends where that day begins, and so does `BETWEEN ... AND '2025-12-31'`. Where a period
begins with the first day of a month and ends with the last day of one, the whole last day is meant. The guard judges
what comes of it, and the card says it.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import postgast

from config.sentences import say
from data_agent.guard.trees import parts
from data_agent.schema import TABLES

_MOMENTS = frozenset(column.name for table in TABLES for column in table.columns if column.type.startswith("timestamp"))
_AND = postgast.pg_query_pb2.AND_EXPR
_BETWEEN = postgast.pg_query_pb2.AEXPR_BETWEEN
_OPERATOR = postgast.pg_query_pb2.AEXPR_OP


def correct(tree: Any) -> list[str]:
    """Change a parse tree where a period lacks its last day; return what was changed, in sentences."""
    ends = [*_betweens(tree), *_pairs(tree)]
    for end in ends:
        end()
    return [say("The period ends with the end of its last day now.")] if ends else []


def _betweens(tree: Any) -> Iterator[Any]:
    for node in parts(tree):
        if node.DESCRIPTOR.name != "Node" or node.WhichOneof("node") != "a_expr" or node.a_expr.kind != _BETWEEN:
            continue
        first, last = node.a_expr.rexpr.list.items
        if _moment(node.a_expr.lexpr) and _is_first(_day(first)) and (day := _day(last)) and _is_last(day):
            yield lambda node=node, first=first, day=day: node.CopyFrom(_period(node.a_expr.lexpr, first, day))


def _pairs(tree: Any) -> Iterator[Any]:
    """Yield what mends a lower and an upper bound of one column, side by side in an AND."""
    for message in parts(tree):
        if message.DESCRIPTOR.name != "BoolExpr" or message.boolop != _AND:
            continue
        begun = {
            _moment(each.a_expr.lexpr)
            for each in message.args
            if _operator(each) == ">=" and _is_first(_day(each.a_expr.rexpr))
        }
        for each in message.args:
            day = _day(each.a_expr.rexpr)
            if _operator(each) in ("<", "<=") and _moment(each.a_expr.lexpr) in begun - {""} and day and _is_last(day):
                yield lambda each=each, day=day: each.CopyFrom(_before(each.a_expr.lexpr, day + timedelta(days=1)))


def _operator(node: Any) -> str:
    is_one = node.WhichOneof("node") == "a_expr" and node.a_expr.kind == _OPERATOR
    return str(node.a_expr.name[-1].string.sval) if is_one else ""


def _moment(node: Any) -> str:
    """Return the column with points in time that an expression is, with its table's name; empty for others."""
    path = [each.string.sval for each in node.column_ref.fields]
    return ".".join(path) if path and path[-1] in _MOMENTS else ""


def _day(node: Any) -> date | None:
    """Return the day that a constant text means, with a cast or without."""
    inner = node.type_cast.arg if node.WhichOneof("node") == "type_cast" else node
    try:
        return date.fromisoformat(inner.a_const.sval.sval)
    except ValueError:
        return None


def _is_first(day: date | None) -> bool:
    return day is not None and day.day == 1


def _is_last(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def _period(column: Any, first: Any, last: date) -> Any:
    made = _condition("x >= 1 AND x < 1")
    made.bool_expr.args[0].a_expr.lexpr.CopyFrom(column)
    made.bool_expr.args[0].a_expr.rexpr.CopyFrom(first)
    made.bool_expr.args[1].CopyFrom(_before(column, last + timedelta(days=1)))
    return made


def _before(column: Any, day: date) -> Any:
    made = _condition(f"x < '{day.isoformat()}'")
    made.a_expr.lexpr.CopyFrom(column)
    return made


def _condition(text: str) -> Any:
    return postgast.parse(f"SELECT 1 WHERE {text}").stmts[0].stmt.select_stmt.where_clause
