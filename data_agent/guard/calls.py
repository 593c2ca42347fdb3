"""Which functions may be called, and with what: their output must stay in proportion to their input.

LIMIT and timeouts do not bound memory: `repeat('x', 900000000)` is one value, made in no time, and already by EXPLAIN.
So functions that make much out of little are allowed only where the text itself says how much.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from data_agent.guard import policy, suggestions
from data_agent.guard.findings import Findings

Tree = Any

_FORMAT = re.compile(r"%(?:%|(?:\d+\$)?-?(\d{1,2})?[sIL])")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(second|sec|s|minute|min|hour|day|week|month|year)s?\s*", re.I)
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_592_000.0,
    "year": 31_536_000.0,
}
# A step of a calendar whose ends are not plain; below it a few years are millions of rows.
_SHORTEST_STEP = 60.0


def check(call: Tree, findings: Findings) -> str:
    """Note a call and what is against it; return the function's name."""
    path = [part.string.sval for part in call.funcname]
    name = str(path[-1])
    findings.functions.add(name)
    # The parser itself writes pg_catalog before what has a syntax of its own, such as extract.
    if path[:-1] not in ([], ["pg_catalog"]) or name not in policy.FUNCTIONS:
        advice = suggestions.for_function(name, policy.FUNCTIONS)
        findings.refuse(f"The function {'.'.join(path)} may not be used.{advice}")
    elif call.agg_star and name != "count":
        findings.refuse(f"{name}(*) has no meaning. Name the columns.")
    elif call.func_variadic:
        findings.refuse("VARIADIC may not be used. List the arguments.")
    elif any(argument.WhichOneof("node") == "named_arg_expr" for argument in call.args) and name in _BOUNDS:
        findings.refuse(f"Give the arguments of {name} by position, not by name.")
    elif name in _BOUNDS:
        _BOUNDS[name](call.args, findings)
    return name


def _repeat(arguments: Sequence[Tree], findings: Findings) -> None:
    times = _bounded(arguments[1]) if len(arguments) == 2 else None
    if times is None or times > policy.MAX_REPEAT:
        findings.refuse(
            f"repeat needs a plain number of at most {policy.MAX_REPEAT}, or least({policy.MAX_REPEAT}, ...)."
        )
    else:
        findings.grow(max(1, int(times)))


def _pad(arguments: Sequence[Tree], findings: Findings) -> None:
    width = _bounded(arguments[1]) if len(arguments) > 1 else None
    if width is None or width > policy.MAX_WIDTH:
        findings.refuse(f"lpad and rpad need a plain width of at most {policy.MAX_WIDTH}.")


def _replace(arguments: Sequence[Tree], findings: Findings) -> None:
    new = _text(arguments[2]) if len(arguments) > 2 else None
    if new is None:
        findings.refuse("The text to put in, the third argument of replace, must be written out.")
        return
    old = _text(arguments[1])
    findings.grow(max(1, -(-len(new) // max(1, len(old or "")))))


def _replace_pattern(arguments: Sequence[Tree], findings: Findings) -> None:
    new = _text(arguments[2]) if len(arguments) > 2 else None
    if new is None:
        findings.refuse("The text to put in, the third argument of regexp_replace, must be written out.")
    else:
        findings.grow(max(1, len(new)))


def _format(arguments: Sequence[Tree], findings: Findings) -> None:
    pattern = _text(arguments[0]) if arguments else None
    if pattern is None or "%" in _FORMAT.sub("", pattern):
        findings.refuse("format needs its pattern written out, with %s and at most two digits of width.")
    else:
        findings.grow(max(1, pattern.count("%")))


def _joined(place: int, name: str) -> Any:
    def check_separator(arguments: Sequence[Tree], findings: Findings) -> None:
        separator = _text(arguments[place]) if len(arguments) > place else ""
        if separator is None or len(separator) > policy.MAX_SEPARATOR:
            findings.refuse(
                f"The separator of {name} must be written out, in at most {policy.MAX_SEPARATOR} characters."
            )

    return check_separator


def _series(arguments: Sequence[Tree], findings: Findings) -> None:
    if len(arguments) < 2:
        return
    start, stop = _position(arguments[0]), _position(arguments[1])
    step = _step(arguments[2]) if len(arguments) > 2 else 1.0
    if step is not None and start is not None and stop is not None:
        findings.add_series(abs(stop - start) / abs(step) if step else float("inf"))
    elif len(arguments) > 2 and _duration(arguments[2]) is not None and step is not None and step < _SHORTEST_STEP:
        findings.refuse("generate_series over times needs a step of at least a minute.")


_BOUNDS = {
    "repeat": _repeat,
    "lpad": _pad,
    "rpad": _pad,
    "replace": _replace,
    "regexp_replace": _replace_pattern,
    "format": _format,
    "concat_ws": _joined(0, "concat_ws"),
    "array_to_string": _joined(1, "array_to_string"),
    "generate_series": _series,
}


# What is written out


def _text(node: Tree) -> str | None:
    node = _without_cast(node)
    if node.WhichOneof("node") == "a_const":
        if node.a_const.WhichOneof("val") == "sval":
            return str(node.a_const.sval.sval)
        return "" if node.a_const.isnull else None
    return None


def _number(node: Tree) -> float | None:
    """Return the value of a number, or of numbers with + - * / ^ between them; None for anything else."""
    node = _without_cast(node)
    match node.WhichOneof("node"):
        case "a_const":
            match node.a_const.WhichOneof("val"):
                case "ival":
                    return float(node.a_const.ival.ival)
                case "fval":
                    return float(node.a_const.fval.fval)
        case "a_expr":
            left = _number(node.a_expr.lexpr) if node.a_expr.HasField("lexpr") else 0.0
            right = _number(node.a_expr.rexpr)
            if left is not None and right is not None:
                return _calculated(left, str(node.a_expr.name[-1].string.sval), right)
    return None


def _calculated(left: float, operator: str, right: float) -> float | None:
    try:
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return left / right
            case "^":
                return float(abs(left) ** right)
    except (OverflowError, ZeroDivisionError):
        return float("inf")
    return None


def _bounded(node: Tree) -> float | None:
    """Return a number that the expression cannot exceed: itself, or a part of least(...)."""
    node = _without_cast(node)
    if node.WhichOneof("node") == "min_max_expr" and node.min_max_expr.op == _LEAST:
        parts = [bound for bound in map(_bounded, node.min_max_expr.args) if bound is not None]
        return min(parts, default=None)
    return _number(node)


_LEAST = 2  # IS_LEAST


def _position(node: Tree) -> float | None:
    """Return a number, or a moment in seconds."""
    text = _text(node)
    if not text:
        return _number(node)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment.replace(tzinfo=None) - datetime.combine(date(2000, 1, 1), datetime.min.time())).total_seconds()


def _step(node: Tree) -> float | None:
    duration = _duration(node)
    return duration if duration is not None else _number(node)


def _duration(node: Tree) -> float | None:
    found = _DURATION.fullmatch(_text(node) or "")
    return float(found[1]) * _SECONDS[found[2].lower()] if found else None


def _without_cast(node: Tree) -> Tree:
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    return node
