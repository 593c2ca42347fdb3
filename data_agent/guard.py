"""Decides whether a text may be run. Nothing else in the project does.

`check` stands on PostgreSQL's own parser, on allow-lists (`data_agent.policy`) and on resolved names
(`data_agent.inspection`). It reads no database and keeps no state. Whatever goes wrong inside it is a refusal.
"""

import threading
import unicodedata
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import postgast
import sqlparse
import structlog
from google.protobuf.message import DecodeError

from data_agent import policy
from data_agent.inspection import Inspector
from data_agent.schema import SCHEMA, Table

log = structlog.get_logger(__name__)

# The parser recurses on the C stack; 10 kB of parentheses need less than a tenth of this.
_STACK_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says of a text.

    `sql` is the statement as it may be run: parsed, with its LIMIT put or lowered, and written again; empty where it
    is refused. `reasons` say why it is refused, `warnings` what was changed. Both are sentences for people and models.
    `limit` is the number of rows at which the statement stops.
    """

    allowed: bool
    sql: str = ""
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    limit: int = 0
    policy_version: str = policy.VERSION


class _Refused(Exception):
    """The reason, as a sentence."""


def check(sql: str, *, schema: Mapping[str, Table] = SCHEMA) -> Verdict:
    """Return the verdict on a text; never raises."""
    try:
        _check_text(sql)
        return _parser().submit(_judge, sql, schema).result()
    except _Refused as refusal:
        return Verdict(False, reasons=(str(refusal),))
    except postgast.PgQueryError as error:
        return Verdict(False, reasons=(f"PostgreSQL cannot read this: {error.message} (character {error.cursorpos}).",))
    except DecodeError:
        return Verdict(False, reasons=("The query is nested too deeply. Simplify it.",))
    except Exception as error:
        # Its type alone: the message or a traceback's values may hold the query.
        log.error("the guard failed, which refuses the query", error=type(error).__name__)
        return Verdict(False, reasons=("The query could not be checked, so it is refused. Simplify it.",))


def laid_out(verdict: Verdict) -> str:
    """Return an allowed statement with line breaks, for people; it still means `verdict.sql` exactly."""
    try:
        text = sqlparse.format(verdict.sql, reindent=True)
    except sqlparse.exceptions.SQLParseError:
        return verdict.sql
    return text if check(text).sql == verdict.sql else verdict.sql


def _judge(sql: str, schema: Mapping[str, Table]) -> Verdict:
    tree, inspector = _inspect(sql, schema)
    if inspector.reasons:
        return _verdict(inspector, reasons=tuple(inspector.reasons))
    select = tree.stmts[0].stmt.select_stmt
    warnings = _limit(select)
    written = postgast.deparse(tree)
    # What will run is this text, so this text is what must pass, and must be what it says it is.
    _check_text(written)
    again, inspector = _inspect(written, schema)
    if inspector.reasons or _limit(again.stmts[0].stmt.select_stmt) or postgast.deparse(again) != written:
        raise _Refused("The query does not survive being written again, so it is refused. Simplify it.")
    return replace(_verdict(inspector, sql=written, warnings=warnings), limit=_whole_number(select.limit_count) or 0)


def _verdict(
    inspector: Inspector, *, sql: str = "", reasons: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> Verdict:
    return Verdict(
        allowed=not reasons,
        sql=sql,
        tables=tuple(sorted(inspector.tables)),
        columns=tuple(sorted(inspector.columns)),
        functions=tuple(sorted(inspector.functions)),
        reasons=reasons,
        warnings=warnings,
    )


def _inspect(sql: str, schema: Mapping[str, Table]) -> tuple[Any, Inspector]:
    tree = postgast.parse(sql)
    if len(tree.stmts) != 1:
        raise _Refused("There must be exactly one statement." if tree.stmts else "There is no statement.")
    kind = tree.stmts[0].stmt.WhichOneof("node")
    if kind != "select_stmt":
        raise _Refused(f"Only SELECT is allowed, not {(kind or 'nothing').removesuffix('_stmt').replace('_', ' ')}.")
    inspector = Inspector(schema)
    inspector.inspect(tree.stmts[0].stmt.select_stmt)
    return tree, inspector


def _check_text(sql: str) -> None:
    size = len(sql.encode("utf-8", "surrogatepass"))
    if size > policy.MAX_BYTES:
        raise _Refused(f"The query has {size:,} bytes; at most {policy.MAX_BYTES:,} are allowed.")
    for character in sql:
        # Control and format characters (NUL, bidirectional, zero width), surrogates, line separators: what a person
        # sees must be what runs, and NUL would cut the text for the parser alone.
        if character not in "\t\n\r" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}:
            raise _Refused(f"The query holds an invisible character (U+{ord(character):04X}). Remove it.")


def _limit(select: Any) -> tuple[str, ...]:
    """Put or lower the LIMIT of the whole statement, on the tree. Return what was changed."""
    if select.limit_option == _WITH_TIES:
        raise _Refused("WITH TIES has no fixed number of rows. Use LIMIT.")
    if select.HasField("limit_offset") and _whole_number(select.limit_offset) is None:
        raise _Refused("OFFSET must be a plain number.")
    rows: int | None = None
    if select.HasField("limit_count") and not select.limit_count.a_const.isnull:
        rows = _whole_number(select.limit_count)
        if rows is None:
            raise _Refused("LIMIT must be a plain number.")
    if rows is not None and rows <= policy.MAX_ROWS:
        return ()
    limit = policy.DEFAULT_ROWS if rows is None else policy.MAX_ROWS
    select.limit_count.Clear()
    select.limit_count.a_const.ival.ival = limit
    select.limit_option = _COUNT
    return (f"LIMIT {limit} was added." if rows is None else f"LIMIT {rows} was lowered to {limit}.",)


def _whole_number(node: Any) -> int | None:
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


_COUNT = postgast.pg_query_pb2.LimitOption.Value("LIMIT_OPTION_COUNT")
_WITH_TIES = postgast.pg_query_pb2.LimitOption.Value("LIMIT_OPTION_WITH_TIES")


@cache
def _parser() -> ThreadPoolExecutor:
    """Return the one thread that parses, with a stack that no allowed text can exhaust."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sql-parser")
    with _stack_size:
        before = threading.stack_size(_STACK_BYTES)
        try:
            pool.submit(int).result()
        finally:
            threading.stack_size(before)
    return pool


_stack_size = threading.Lock()
