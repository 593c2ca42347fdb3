"""Puts right what small models get wrong in any schema: shares without decimals, and customers counted twice.

Both are clear slips with one meaning. The guard judges what comes of it, and the card says it.
"""

import re
from collections.abc import Iterator
from typing import Any

import postgast

from data_agent.guard.trees import parts
from data_agent.schema import PURCHASES, TABLES

# "How many customers", but not "how many laptops did customers buy".
_CUSTOMERS = re.compile(
    r"\bhow many\s+(?:(?!(?:did|do|does|were|was|are|have|has|had|by|of|for|from|in|per)\b)\w+\s+){0,2}"
    r"(?:customers|users|people|buyers|clients)\b",
    re.IGNORECASE,
)
_SELECT = postgast.parse("SELECT 1::numeric").stmts[0].stmt.select_stmt
_NUMERIC = _SELECT.target_list[0].res_target.val.type_cast.type_name
_INTEGERS = frozenset(column.name for table in TABLES for column in table.columns if column.type == "integer")


def correct(tree: Any, question: str) -> list[str]:
    """Change a parse tree where it is clear what is meant; return what was changed, in sentences."""
    notes = []
    if _keep_decimals(tree):
        notes.append("The division keeps its decimals now; whole numbers would be cut off.")
    if _CUSTOMERS.search(question) and _count_customers(tree):
        notes.append("Each customer is counted once now, however often they bought.")
    return notes


def _keep_decimals(tree: Any) -> bool:
    divisions = [
        message
        for message in parts(tree)
        if message.DESCRIPTOR.name == "A_Expr"
        and message.name[-1].string.sval == "/"
        and _is_whole(message.lexpr)
        and _is_whole(message.rexpr)
        and any(_calls(message))
    ]
    for division in divisions:
        inner = type(division.lexpr)()
        inner.CopyFrom(division.lexpr)
        division.lexpr.Clear()
        division.lexpr.type_cast.arg.CopyFrom(inner)
        division.lexpr.type_cast.type_name.CopyFrom(_NUMERIC)
    return bool(divisions)


def _is_whole(node: Any) -> bool:
    """Whether an expression is made of counts and whole numbers, so that PostgreSQL cuts the decimals off."""
    match node.WhichOneof("node"):
        case "a_const":
            return bool(node.a_const.WhichOneof("val") == "ival")
        case "func_call":
            return _is_count(node.func_call) or _is_sum_of_integers(node.func_call)
        case "a_expr":
            sides = (node.a_expr.lexpr, node.a_expr.rexpr)
            return node.a_expr.name[-1].string.sval in ("*", "+", "-") and all(map(_is_whole, sides))
        case "sub_link":
            targets = node.sub_link.subselect.select_stmt.target_list
            return len(targets) == 1 and _is_whole(targets[0].res_target.val)
    return False


def _calls(node: Any) -> Iterator[Any]:
    return (message for message in parts(node) if message.DESCRIPTOR.name == "FuncCall")


def _is_count(call: Any) -> bool:
    return bool(call.funcname[-1].string.sval == "count")


def _is_sum_of_integers(call: Any) -> bool:
    if call.funcname[-1].string.sval != "sum" or len(call.args) != 1:
        return False
    fields = call.args[0].column_ref.fields
    return bool(fields) and fields[-1].string.sval in _INTEGERS


def _count_customers(tree: Any) -> bool:
    select = tree.stmts[0].stmt.select_stmt
    alias = next((name for name, table in _tables(select.from_clause) if table == PURCHASES.name), None)
    calls = [call for target in select.target_list for call in _calls(target) if _is_count(call)]
    if alias is None or len(calls) != 1 or calls[0].agg_distinct or calls[0].HasField("over"):
        return False
    (call,) = calls
    call.agg_star, call.agg_distinct = False, True
    del call.args[:]
    column = call.args.add().column_ref
    for text in (alias, "user_id"):
        column.fields.add().string.sval = text
    return True


def _tables(items: Any) -> Iterator[tuple[str, str]]:
    for item in items:
        if item.WhichOneof("node") == "join_expr":
            yield from _tables([item.join_expr.larg, item.join_expr.rarg])
        elif item.WhichOneof("node") == "range_var":
            yield str(item.range_var.alias.aliasname or item.range_var.relname), str(item.range_var.relname)
