"""Conditions of a WHERE: reading them, finding them, and taking some out, on the parse tree."""

from collections.abc import Callable, Iterator
from typing import Any

import postgast

from data_agent.guard.trees import parts

_AND, _NOT = postgast.pg_query_pb2.AND_EXPR, postgast.pg_query_pb2.NOT_EXPR


def read(text: str) -> Any:
    """Return a condition, written as SQL, as a parse tree."""
    return postgast.parse(f"SELECT 1 WHERE {text}").stmts[0].stmt.select_stmt.where_clause


def joined(node: Any) -> Iterator[Any]:
    """Yield the conditions that AND and OR join; what NOT denies is one condition with it."""
    if node.WhichOneof("node") == "bool_expr" and node.bool_expr.boolop != _NOT:
        for each in node.bool_expr.args:
            yield from joined(each)
    else:
        yield node


def take_out(select: Any, unwanted: Callable[[Any], bool]) -> bool:
    """Take conditions that all rows must meet out of a SELECT; return whether there were any."""
    if not select.HasField("where_clause"):
        return False
    where = select.where_clause
    together = where.WhichOneof("node") == "bool_expr" and where.bool_expr.boolop == _AND
    before = list(where.bool_expr.args) if together else [where]
    kept = [type(each).FromString(each.SerializeToString()) for each in before if not unwanted(each)]
    if len(kept) == len(before):
        return False
    if len(kept) > 1:
        del where.bool_expr.args[:]
        where.bool_expr.args.extend(kept)
    elif kept:
        where.CopyFrom(kept[0])
    else:
        select.ClearField("where_clause")
    return True


def text(node: Any) -> str:
    """Return an expression as text, its columns without a table's name."""
    tree = postgast.parse("SELECT 1")
    value = tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val
    value.CopyFrom(node)
    for message in parts(value):
        if message.DESCRIPTOR.name == "ColumnRef" and len(message.fields) > 1:
            del message.fields[:-1]
    return str(postgast.deparse(tree))
