"""The LIMIT of a whole statement, put or lowered on its parse tree."""

from typing import Any

import postgast

from config.sentences import say
from data_agent.guard import policy

Tree = Any

# How a verdict says that the LIMIT is not the query's own.
LIMIT_ADDED = say("LIMIT %(rows)s was added.", rows=str(policy.DEFAULT_ROWS))

_COUNT = postgast.pg_query_pb2.LimitOption.Value("LIMIT_OPTION_COUNT")
_WITH_TIES = postgast.pg_query_pb2.LimitOption.Value("LIMIT_OPTION_WITH_TIES")
_NO_SET_OPERATION = postgast.pg_query_pb2.SetOperation.Value("SETOP_NONE")


def put(select: Tree) -> tuple[str, ...]:
    """Give the statement a plain LIMIT of at most `policy.MAX_ROWS`; return sentences on what was changed.

    Raises ValueError with a sentence for a LIMIT that PostgreSQL would refuse.
    """
    if not select.HasField("limit_count") or select.limit_count.a_const.isnull:
        _set(select, policy.DEFAULT_ROWS)
        return (LIMIT_ADDED,)
    asked = _whole_number(select.limit_count)
    if asked is not None and select.limit_option != _WITH_TIES:
        if asked <= policy.MAX_ROWS:
            return ()
        _set(select, policy.MAX_ROWS)
        return (say("LIMIT %(asked)s was lowered to %(rows)s.", asked=str(asked), rows=str(policy.MAX_ROWS)),)
    if select.limit_count.WhichOneof("node") == "a_const" and asked is None:
        raise ValueError(say("LIMIT must be a whole number that is not negative."))
    # How many rows a computed LIMIT or WITH TIES gives is not known, so another LIMIT is put around it.
    _wrap(select)
    return (say("LIMIT %(rows)s was put around the query.", rows=str(policy.MAX_ROWS)),)


def rows(select: Tree) -> int:
    """Return the statement's LIMIT, 0 where it has none or a computed one."""
    return _whole_number(select.limit_count) or 0


def _set(select: Tree, limit: int) -> None:
    select.limit_count.Clear()
    select.limit_count.a_const.ival.ival = limit
    select.limit_option = _COUNT


def _wrap(select: Tree) -> None:
    outer = type(select)(op=_NO_SET_OPERATION)
    outer.target_list.add().res_target.val.column_ref.fields.add().a_star.SetInParent()
    inner = outer.from_clause.add().range_subselect
    inner.subquery.select_stmt.CopyFrom(select)
    inner.alias.aliasname = "limited"
    _set(outer, policy.MAX_ROWS)
    select.CopyFrom(outer)


def _whole_number(node: Tree) -> int | None:
    if node.WhichOneof("node") != "a_const":
        return None
    match node.a_const.WhichOneof("val"):
        # The parser makes -1 one constant.
        case "ival" if node.a_const.ival.ival >= 0:
            return int(node.a_const.ival.ival)
        # Integers beyond 32 bits come as text.
        case "fval" if node.a_const.fval.fval.isdecimal():
            return int(node.a_const.fval.fval)
    return None
