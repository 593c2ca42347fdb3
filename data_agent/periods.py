"""Lets a period end with its last day: what small models get wrong most of months and years.

`purchased_at <= '2025-12-31'` ends where that day begins, and so does `BETWEEN ... AND '2025-12-31'`. Where a period
begins with the first day of a month and ends with the last day of one, the whole last day is meant. Where the question
speaks of one quarter or half of a year and the query of another period, that of the question is meant. The guard judges
what comes of it, and the card says it.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import postgast

from config.sentences import say
from data_agent import conditions
from data_agent.guard.trees import own_parts, parts
from data_agent.schema import TABLES

_MOMENTS = frozenset(column.name for table in TABLES for column in table.columns if column.type.startswith("timestamp"))
_TIMES = _MOMENTS | {column.name for table in TABLES for column in table.columns if column.type == "date"}
_AND = postgast.pg_query_pb2.AND_EXPR
_BETWEEN = postgast.pg_query_pb2.AEXPR_BETWEEN
_OPERATOR = postgast.pg_query_pb2.AEXPR_OP
_YEAR = r"(?:19|20)\d\d"
_PART = re.compile(
    r"\b(?P<place>first|second|third|fourth|last|final|1st|2nd|3rd|4th)\s+(?P<part>quarter|half)\s+"
    rf"(?:(?:of|in)\s+)?(?:the\s+)?(?:year\s+)?(?P<year>{_YEAR})\b"
    rf"|\b(?P<letter>[QH])(?P<number>[1-4])[\s/-]*(?:(?:of|in)\s+)?(?P<year_after>{_YEAR})\b"
    rf"|\b(?P<year_before>{_YEAR})[\s/-]*(?P<its_letter>[QH])(?P<its_number>[1-4])\b",
    re.IGNORECASE,
)
_PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_MONTHS = {"quarter": 3, "q": 3, "half": 6, "h": 6}
# Another time beside it, or a year that begins in another month.
_OTHER_TIMES = re.compile(
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december|fiscal|financial|tax|"
    r"(?:last|past|previous|next|this)\s+(?:\d+\s+)?(?:days?|weeks?|months?|years?)|before|after|since|until|now|today)\b",
    re.IGNORECASE,
)


def correct(tree: Any, question: str = "") -> list[str]:
    """Change a parse tree where a period lacks its last day or is another than the question's; return what was."""
    notes: list[str] = []
    ends = [*_betweens(tree), *_pairs(tree)]
    for end in ends:
        end()
    if ends:
        notes.append(say("The period ends with the end of its last day now."))
    period = spoken_of(question)
    if period is not None and _set_period(tree, *period):
        first, last = period[0], period[1] - timedelta(days=1)
        notes.append(
            say("The period is from %(first)s to %(last)s now.", first=first.isoformat(), last=last.isoformat())
        )
    return notes


def spoken_of(question: str) -> tuple[date, date] | None:
    """Return the quarter or half of a year that a question speaks of: its first day and the first one after it.

    None where there are several, or another time beside it. Seasons begin on days that differ from place to place.
    """
    found = list(_PART.finditer(question))
    parts_of_years = re.findall(r"\b(?:quarters?|half|halves|[QH][1-4])\b", question, re.IGNORECASE)
    years = re.findall(rf"\b{_YEAR}\b", question)
    if len(found) != 1 or len(parts_of_years) != 1 or len(years) != 1 or _OTHER_TIMES.search(question):
        return None
    (part,) = found
    months = _MONTHS[(part["part"] or part["letter"] or part["its_letter"]).lower()]
    number = int(part["number"] or part["its_number"] or 0)
    number = number or _PLACES.get(part["place"].lower(), 12 // months)
    if number > 12 // months:
        return None
    year = int(part["year"] or part["year_after"] or part["year_before"])
    end = number * months + 1
    return date(year, end - months, 1), date(year + end // 13, (end - 1) % 12 + 1, 1)


def _set_period(tree: Any, first: date, end: date) -> bool:
    """Let the one period of a query be this one; return whether it was another."""
    bounds = [node for node in parts(tree) if node.DESCRIPTOR.name == "Node" and _bound(node)]
    compared = [
        message
        for select in parts(tree)
        if select.DESCRIPTOR.name == "SelectStmt" and select.HasField("where_clause")
        for message in own_parts(select.where_clause)
        if message.DESCRIPTOR.name == "ColumnRef" and message.fields and message.fields[-1].string.sval in _TIMES
    ]
    columns = {conditions.text(each.a_expr.lexpr) for each in bounds}
    days = [day for each in bounds for day in _bound(each) if day]
    if len(bounds) != len(compared) or len(columns) != 1 or len(days) != 2 or sorted(days) == [first, end]:
        return False
    operators = [_operator(each)[:1] for each in sorted(bounds, key=lambda each: [day for day in _bound(each) if day])]
    if operators not in ([""], [">", "<"]):
        # Two of one kind, or all but a period.
        return False
    for node in bounds:
        made = conditions.read(f"x >= '{first.isoformat()}' AND x < '{end.isoformat()}'")
        for each in made.bool_expr.args:
            each.a_expr.lexpr.CopyFrom(node.a_expr.lexpr)
        place = {">": 0, "<": 1}.get(_operator(node)[:1])
        node.CopyFrom(made if place is None else made.bool_expr.args[place])
    return True


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


def _bound(node: Any) -> tuple[date | None, ...]:
    """Return where a condition lets a period begin, and the first day after it; nothing for other conditions."""
    column = node.a_expr.lexpr.column_ref.fields
    if node.WhichOneof("node") != "a_expr" or not column or column[-1].string.sval not in _TIMES:
        return ()
    # A day is in a period as a whole, of a moment only its beginning.
    more = timedelta(days=column[-1].string.sval not in _MOMENTS)
    if node.a_expr.kind == _BETWEEN:
        first, last = (_day(each) for each in node.a_expr.rexpr.list.items)
        return (first, last + more) if first and last else ()
    day = _day(node.a_expr.rexpr)
    match _operator(node):
        case ">=" | ">" if day:
            return day, None
        case "<" if day:
            return None, day
        case "<=" if day:
            return None, day + more
    return ()


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
    made = conditions.read("x >= 1 AND x < 1")
    made.bool_expr.args[0].a_expr.lexpr.CopyFrom(column)
    made.bool_expr.args[0].a_expr.rexpr.CopyFrom(first)
    made.bool_expr.args[1].CopyFrom(_before(column, last + timedelta(days=1)))
    return made


def _before(column: Any, day: date) -> Any:
    made = conditions.read(f"x < '{day.isoformat()}'")
    made.a_expr.lexpr.CopyFrom(column)
    return made
