"""Decides whether a text may be run. Nothing else in the project does.

`check` stands on PostgreSQL's own parser, on allow-lists (`data_agent.guard.policy`) and on resolved names
(`data_agent.guard.inspection`). It reads no database and keeps no state. Whatever goes wrong inside it is a refusal.
"""

import os
import re
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

from config.sentences import joined, say
from data_agent.guard import limits, policy, suggestions, trees
from data_agent.guard.findings import Findings
from data_agent.guard.inspection import inspect
from data_agent.schema import SCHEMA, Table

log = structlog.get_logger(__name__)

# The parser recurses on the C stack; 10 kB of parentheses need less than a tenth of this.
_STACK_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says of a text.

    `sql` is the statement as it may be run: parsed, with its LIMIT put or lowered, and written again; empty where it
    is refused. `reasons` say why it is refused, `warnings` what was changed. Both are sentences for people and models.
    `limit` is the number of rows at which the statement stops. `masked` names the columns with personal data that the
    statement reads and the person may not see: the database gives them pseudonyms.
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
    masked: tuple[str, ...] = ()


class _Refused(Exception):
    """The reason, as a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check(sql: str, *, personal: bool = False, schema: Mapping[str, Table] = SCHEMA) -> Verdict:
    """Return the verdict on a text, for a person who may see personal data or one who may not; never raises."""
    try:
        _check_text(sql)
        return _parser().submit(_judge, sql, schema, personal).result()
    except _Refused as refusal:
        return Verdict(False, reasons=(refusal.reason,))
    except postgast.PgQueryError as error:
        message = say(
            "PostgreSQL cannot read this: %(message)s (character %(place)s).",
            message=str(error.message),
            place=str(error.cursorpos),
        )
        return Verdict(False, reasons=(joined(message, suggestions.for_syntax(sql)),))
    except DecodeError:
        return Verdict(False, reasons=(say("The query is nested too deeply. Simplify it."),))
    except Exception as error:
        # Its type alone: the message or a traceback's values may hold the query.
        log.error("the guard failed, which refuses the query", error=type(error).__name__)
        return Verdict(False, reasons=(say("The query could not be checked, so it is refused. Simplify it."),))


def laid_out(verdict: Verdict) -> str:
    """Return an allowed statement with line breaks, for people; it still means `verdict.sql` exactly."""
    try:
        text = sqlparse.format(verdict.sql, reindent=True)
    except sqlparse.exceptions.SQLParseError:
        return verdict.sql
    return text if check(text, personal=True).sql == verdict.sql else verdict.sql


def _judge(sql: str, schema: Mapping[str, Table], personal: bool) -> Verdict:
    tree = _parse(sql)
    select = tree.stmts[0].stmt.select_stmt
    findings = inspect(select, schema, personal=personal)
    if findings.reasons:
        return _verdict(findings, reasons=tuple(findings.reasons))
    try:
        warnings = limits.put(select)
    except ValueError as error:
        raise _Refused(error.args[0]) from None
    written = postgast.deparse(tree)
    if written != sql:
        # What will run is this text, so this text must mean what was inspected.
        _check_text(written)
        if not trees.same(_parse(written), tree):
            raise _Refused(say("The query does not survive being written again, so it is refused. Simplify it."))
    return replace(_verdict(findings, sql=written, warnings=warnings), limit=limits.rows(select))


def _verdict(
    findings: Findings, *, sql: str = "", reasons: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> Verdict:
    hidden = () if findings.personal else findings.columns & _personal(findings.schema)
    return Verdict(
        allowed=not reasons,
        sql=sql,
        tables=tuple(sorted(findings.tables)),
        columns=tuple(sorted(findings.columns)),
        functions=tuple(sorted(findings.functions)),
        reasons=reasons,
        warnings=warnings,
        masked=tuple(sorted(hidden)),
    )


def _personal(schema: Mapping[str, Table]) -> frozenset[str]:
    return frozenset(f"{table.name}.{column}" for table in schema.values() for column in table.personal_columns)


def _parse(sql: str) -> Any:
    """Return the tree of exactly one SELECT."""
    tree = postgast.parse(sql)
    if len(tree.stmts) != 1:
        raise _Refused(say("There must be exactly one statement.") if tree.stmts else say("There is no statement."))
    kind = tree.stmts[0].stmt.WhichOneof("node")
    if kind != "select_stmt":
        name = (kind or "nothing").removesuffix("_stmt").replace("_", " ")
        raise _Refused(say("Only SELECT is allowed, not %(kind)s.", kind=name))
    return tree


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"})
# Letters and marks that are not drawn, and so count as something else.
_UNDRAWN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\u2800")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _check_text(sql: str) -> None:
    if sql.isascii():
        size = len(sql)
        found = _CONTROL.search(sql)
        invisible = found[0] if found else ""
    else:
        size = len(sql.encode("utf-8", "surrogatepass"))
        # What a person sees must be what runs, and NUL would cut the text for the parser alone.
        invisible = next((character for character in sql[: policy.MAX_BYTES] if _is_invisible(character)), "")
    if size > policy.MAX_BYTES:
        raise _Refused(
            say("The query has %(size)s bytes; at most %(most)s are allowed.", size=size, most=policy.MAX_BYTES)
        )
    if invisible:
        raise _Refused(
            say("The query holds an invisible character (%(code)s). Remove it.", code=f"U+{ord(invisible):04X}")
        )


def _is_invisible(character: str) -> bool:
    if character.isascii():
        return _CONTROL.match(character) is not None
    code = ord(character)
    return (
        unicodedata.category(character) in _INVISIBLE
        or character in _UNDRAWN
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
    )


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
# A child process has no copy of the thread.
os.register_at_fork(after_in_child=_parser.cache_clear)
