"""Puts right what small models get wrong in any schema, whatever the question: clear slips with one meaning.

A share without decimals, or of a set in itself; an ORDER BY that PostgreSQL must refuse; `=` with a sub-query of many
rows. What is changed could not run, or says nothing: a query that means something keeps its result. The guard judges
what comes of it, and the card says it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import postgast

from config.sentences import say
from data_agent import conditions
from data_agent.guard.trees import own_parts, parts, tables
from data_agent.schema import TABLES

_SELECT = postgast.parse("SELECT 1::numeric").stmts[0].stmt.select_stmt
_NUMERIC = _SELECT.target_list[0].res_target.val.type_cast.type_name
_AGGREGATES = frozenset({"count", "sum", "avg", "min", "max", "percentile_cont", "percentile_disc", "mode", "stddev"})
_INTEGERS = frozenset(column.name for table in TABLES for column in table.columns if column.type == "integer")


def correct(tree: Any) -> list[str]:
    """Change a parse tree where it is clear what is meant; return what was changed, in sentences."""
    notes: list[str] = []
    selects = [message for message in parts(tree) if message.DESCRIPTOR.name == "SelectStmt"]
    if _in_some(_order_what_can_be, selects):
        notes.append(say("ORDER BY was taken out where there is one row only."))
    if _in_some(_compare_with_many, selects):
        notes.append(say("= was changed to IN, because the sub-query may have several rows."))
    if _in_some(_share_of_all, selects):
        notes.append(say("The share is of all rows now; it was that of the counted rows in themselves."))
    if _keep_decimals(tree):
        notes.append(say("The division keeps its decimals now; whole numbers would be cut off."))
    return notes


def _in_some(change: Callable[[Any], bool], selects: Sequence[Any]) -> bool:
    """Change every SELECT; return whether one was changed."""
    changed = [change(select) for select in selects]
    return any(changed)


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


def _order_what_can_be(select: Any) -> bool:
    """Take a column out of the ORDER BY of a SELECT whose aggregates make one row of all: PostgreSQL refuses it."""
    if len(select.group_clause) or not len(select.sort_clause) or not any(map(_aggregates, select.target_list)):
        return False
    outputs = {_output(target.res_target) for target in select.target_list}
    kept = [item for item in select.sort_clause if not _is_column_beside(item.sort_by.node, outputs)]
    changed = len(kept) < len(select.sort_clause)
    if changed:
        kept = [type(item).FromString(item.SerializeToString()) for item in kept]
        del select.sort_clause[:]
        select.sort_clause.extend(kept)
    return changed


def _aggregates(target: Any) -> bool:
    """Whether it is an aggregate's value, or made of some."""
    calls = (call for call in _own_calls(target) if not call.HasField("over"))
    return any(call.funcname[-1].string.sval in _AGGREGATES for call in calls)


def _output(target: Any) -> str:
    """Return the name that a value of a SELECT has in its ORDER BY."""
    if target.name:
        return str(target.name)
    match target.val.WhichOneof("node"):
        case "func_call":
            return str(target.val.func_call.funcname[-1].string.sval)
        case "column_ref":
            return str(target.val.column_ref.fields[-1].string.sval)
    return ""


def _is_column_beside(node: Any, outputs: set[str]) -> bool:
    if node.WhichOneof("node") != "column_ref":
        return False
    fields = node.column_ref.fields
    return len(fields) > 1 or fields[0].string.sval not in outputs


def _compare_with_many(select: Any) -> bool:
    """Write IN for = in the conditions of a SELECT; the same where the sub-query has one row, or none."""
    found = [
        node
        for node in conditions.joined(select.where_clause)
        if node.WhichOneof("node") == "a_expr"
        and node.a_expr.kind == postgast.pg_query_pb2.AEXPR_OP
        and node.a_expr.name[-1].string.sval == "="
        and _may_be_many(node.a_expr.rexpr)
    ]
    for node in found:
        made = postgast.parse("SELECT 1 IN (SELECT 1)").stmts[0].stmt.select_stmt.target_list[0].res_target.val
        made.sub_link.testexpr.CopyFrom(node.a_expr.lexpr)
        made.sub_link.subselect.CopyFrom(node.a_expr.rexpr.sub_link.subselect)
        node.CopyFrom(made)
    return bool(found)


def _may_be_many(node: Any) -> bool:
    if node.WhichOneof("node") != "sub_link" or node.sub_link.sub_link_type != postgast.pg_query_pb2.EXPR_SUBLINK:
        return False
    inner = node.sub_link.subselect.select_stmt
    grouped = len(inner.group_clause) or not any(map(_aggregates, inner.target_list))
    return bool(len(inner.from_clause) and grouped and inner.limit_count.a_const.ival.ival != 1)


def _share_of_all(select: Any) -> bool:
    """Let a count be divided by that of all rows: divided by that of the same rows it is always 1."""
    if len(select.target_list) != 1 or not select.HasField("where_clause"):
        return False
    divisions = [
        message
        for message in own_parts(select.target_list[0])
        if message.DESCRIPTOR.name == "A_Expr" and message.name and message.name[-1].string.sval == "/"
    ]
    if len(divisions) != 1:
        return False
    counted, whole = ([call for call in _own_calls(side) if _is_count(call)] for side in _sides(divisions[0]))
    links = [part for part in own_parts(divisions[0].rexpr) if part.DESCRIPTOR.name == "SubLink"]
    if len(counted) != 1:
        return False
    if len(links) == 1 and not whole:
        inner = links[0].subselect.select_stmt
        if not _counts_the_same(select, counted[0], inner):
            return False
        inner.ClearField("where_clause")
        return True
    return len(whole) == 1 and not links and _count_beside_all(select, counted[0], whole[0])


def _sides(division: Any) -> tuple[Any, Any]:
    return division.lexpr, division.rexpr


def _counts_the_same(select: Any, count: Any, inner: Any) -> bool:
    """Whether a sub-query counts what the query around it counts, of the same table under the same condition."""
    if len(inner.target_list) != 1 or inner.target_list[0].res_target.val.WhichOneof("node") != "func_call":
        return False
    ours, theirs = ([table for _, table in tables(each.from_clause)] for each in (select, inner))
    theirs_counted = inner.target_list[0].res_target.val.func_call
    return (
        len(ours) == len(select.from_clause) == 1
        and ours == theirs
        and not len(select.group_clause)
        and not len(inner.group_clause)
        and _text_of_call(count) == _text_of_call(theirs_counted)
        and conditions.text(select.where_clause) == conditions.text(inner.where_clause)
    )


def _count_beside_all(select: Any, counted: Any, whole: Any) -> bool:
    """Take the condition of a count's FILTER out of WHERE, where the count is divided by the same one without it."""
    if not counted.HasField("agg_filter") or whole.HasField("agg_filter"):
        return False
    unfiltered = type(counted)()
    unfiltered.CopyFrom(counted)
    unfiltered.ClearField("agg_filter")
    if _text_of_call(unfiltered) != _text_of_call(whole):
        return False
    condition = conditions.text(counted.agg_filter)
    return conditions.take_out(select, lambda each: conditions.text(each) == condition)


def _text_of_call(call: Any) -> str:
    node = postgast.pg_query_pb2.Node()
    node.func_call.CopyFrom(call)
    return conditions.text(node)


def _own_calls(node: Any) -> Iterator[Any]:
    return (message for message in own_parts(node) if message.DESCRIPTOR.name == "FuncCall")
