"""How many rows generate_series makes, as far as the text says it.

Where an end is computed, what is read from the tables counts as 1 among numbers, and as this decade among times: what
is in the tables is small, and it is the numbers of the text that make much of it.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from config.sentences import say
from data_agent.guard import policy, trees
from data_agent.guard.constants import number_of, operator_of, scale_of, text_of, without_cast
from data_agent.guard.findings import Findings

Tree = Any

_SECONDS = {
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_592_000.0,
    "year": 31_536_000.0,
    "decade": 315_360_000.0,
    "century": 3_153_600_000.0,
}
_SHORT = {
    **{"us": "microsecond", "usec": "microsecond", "ms": "millisecond", "msec": "millisecond"},
    **{"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "hr": "hour", "d": "day"},
    **{"w": "week", "mon": "month", "y": "year", "yr": "year", "centurie": "century"},
}
_PART = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_CLOCK = re.compile(r"([+-]?\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?$")
# interval '1' day: the unit is a bit of the type's modifier.
_UNITS = {4: "year", 2: "month", 8: "day", 1 << 10: "hour", 1 << 11: "minute", 1 << 12: "second"}
_MAKE_INTERVAL = ("years", "months", "weeks", "days", "hours", "mins", "secs")
# What times of the tables and the clock are taken for; the guard has no clock.
_NOW = datetime(2026, 1, 1)
_WORDS = frozenset({"now", "today", "tomorrow", "yesterday"})
# Between times of the tables; below it a few years are millions of rows.
_SHORTEST_STEP = 60.0
_YEAR = re.compile(r"(?<!\d)(19|20|21)\d\d(?!\d)")
_CLOCKS = frozenset({"now", "statement_timestamp", "transaction_timestamp", "date_trunc", "date", "timezone"})


def check(arguments: Sequence[Tree], findings: Findings) -> None:
    """Note how many rows a call of generate_series makes, and refuse what cannot be told."""
    if len(arguments) < 2:
        return
    start, stop, *steps = arguments
    duration = _duration(steps[0]) if steps else None
    size = number_of(steps[0]) if steps else 1.0
    if duration is not None:
        _check_times(start, stop, abs(duration), findings)
    elif size is not None:
        _check_numbers(start, stop, abs(size), findings)
    else:
        findings.refuse(say("Write the step of generate_series out, such as interval '1 day' or a number."))


def _check_times(start: Tree, stop: Tree, step: float, findings: Findings) -> None:
    if step < _SHORTEST_STEP and (_is_read(start) or _is_read(stop)):
        findings.refuse(say("generate_series between times of the tables needs a step of at least a minute."))
    span = abs(_moment(stop) - _moment(start))
    findings.add_series(span / step if step else float("inf"))


def _check_numbers(start: Tree, stop: Tree, step: float, findings: Findings) -> None:
    first, last = number_of(start), number_of(stop)
    if first is not None and last is not None:
        findings.add_series(abs(last - first) / step if step else float("inf"))
    elif max(scale_of(start), scale_of(stop)) > policy.MAX_SERIES * step:
        findings.refuse(
            say("generate_series could make more than %(most)s rows. Bring its ends together.", most=policy.MAX_SERIES)
        )


def _is_read(node: Tree) -> bool:
    """Whether a column or a sub-query is in an expression."""
    return any(message.DESCRIPTOR.name in ("ColumnRef", "SubLink") for message in trees.parts(node))


def _duration(node: Tree) -> float | None:
    """Return a duration in seconds, None where it is none or not known."""
    text = text_of(node)
    if text:
        kind = node.type_cast.type_name if node.WhichOneof("node") == "type_cast" else None
        number = number_of(node)
        if number is None:
            return _read(text.strip().lower())
        unit = _UNITS.get(kind.typmods[0].a_const.ival.ival) if kind and kind.typmods else None
        return number * _SECONDS[unit] if unit else None
    node = without_cast(node)
    if node.WhichOneof("node") == "a_expr":
        return _calculated(node.a_expr)
    if node.WhichOneof("node") == "func_call" and node.func_call.funcname[-1].string.sval == "make_interval":
        return _made(node.func_call.args)
    return None


def _read(text: str) -> float | None:
    seconds, place = 0.0, 0
    while found := _PART.match(text, place):
        unit = found[2].removesuffix("s") or "s"
        unit = _SHORT.get(found[2], _SHORT.get(unit, unit))
        if unit not in _SECONDS:
            return None
        seconds, place = seconds + float(found[1]) * _SECONDS[unit], found.end()
    clock = _CLOCK.match(text, place)
    if clock:
        return seconds + float(clock[1]) * 3_600 + float(clock[2]) * 60 + float(clock[3] or 0)
    return seconds if place and place == len(text) else None


def _calculated(expression: Tree) -> float | None:
    operator = operator_of(expression)
    left, right = expression.lexpr, expression.rexpr
    if operator in ("+", "-"):
        one, other = (_duration(left) if expression.HasField("lexpr") else 0.0), _duration(right)
        return None if one is None or other is None else (one + other if operator == "+" else one - other)
    if operator == "*" and _duration(left) is None:
        left, right = right, left
    duration, number = _duration(left), number_of(right)
    if duration is None or number is None or operator not in ("*", "/"):
        return None
    if operator == "*":
        return duration * number
    return duration / number if number else float("inf")


def _made(arguments: Sequence[Tree]) -> float | None:
    seconds = 0.0
    for place, argument in enumerate(arguments):
        named = argument.WhichOneof("node") == "named_arg_expr"
        name = argument.named_arg_expr.name if named else _MAKE_INTERVAL[min(place, 6)]
        number = number_of(argument.named_arg_expr.arg if named else argument)
        unit = name.removesuffix("s")
        unit = _SHORT.get(unit, unit)
        if number is None or unit not in _SECONDS:
            return None
        seconds += number * _SECONDS[unit]
    return seconds


def _moment(node: Tree) -> float:
    """Return a moment in seconds from `_NOW`; infinite where a text is not understood."""
    text = text_of(node)
    if text:
        return _read_moment(text.strip().lower())
    node = without_cast(node)
    match node.WhichOneof("node"):
        case "a_expr" if operator_of(node.a_expr) in ("+", "-"):
            # To a day, a plain number adds days.
            days = number_of(node.a_expr.rexpr)
            added = _duration(node.a_expr.rexpr) if days is None else days * _SECONDS["day"]
            if added is None:
                # Read from the tables, such as a number of months.
                added = scale_of(node.a_expr.rexpr) * _SECONDS["day"]
            return _moment(node.a_expr.lexpr) + (added if operator_of(node.a_expr) == "+" else -added)
        case "func_call" if node.func_call.funcname[-1].string.sval in _CLOCKS and node.func_call.args:
            return _moment(node.func_call.args[-1])
        case "func_call" if node.func_call.funcname[-1].string.sval.startswith("make_"):
            year = number_of(node.func_call.args[0]) if node.func_call.args else None
            return 0.0 if year is None else (year - _NOW.year) * _SECONDS["year"]
        case "sub_link":
            targets = node.sub_link.subselect.select_stmt.target_list
            return _moment(targets[0].res_target.val) if targets else 0.0
        case "func_call" if len(node.func_call.args) == 1:
            return _moment(node.func_call.args[0])
        case "coalesce_expr" | "min_max_expr" as kind:
            return max((_moment(each) for each in getattr(node, kind).args), key=abs, default=0.0)
    return 0.0


def _read_moment(text: str) -> float:
    if text in _WORDS:
        return 0.0
    try:
        return (datetime.fromisoformat(text).replace(tzinfo=None) - _NOW).total_seconds()
    except ValueError:
        year = None if "bc" in text else _YEAR.search(text)
        return (int(year[0]) - _NOW.year) * _SECONDS["year"] if year else float("inf")
