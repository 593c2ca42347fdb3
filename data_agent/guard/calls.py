"""Which functions may be called, and with what: their output must stay in proportion to their input.

LIMIT and timeouts do not bound memory: `repeat('x', 900000000)` is one value, made in no time, and already by EXPLAIN.
So functions that make much out of little are allowed only where the text itself says how much.
"""

import re
from collections.abc import Sequence
from typing import Any

from config.sentences import joined, say
from data_agent.guard import policy, series, suggestions
from data_agent.guard.constants import bound_of, number_of, text_of
from data_agent.guard.findings import Findings

Tree = Any

_FORMAT = re.compile(r"%(?:%|(?:\d+\$)?-?(\d{1,2})?[sIL])")


def check(call: Tree, findings: Findings) -> str:
    """Note a call and what is against it; return the function's name."""
    path = [part.string.sval for part in call.funcname]
    name = str(path[-1])
    findings.functions.add(name)
    # The parser itself writes pg_catalog before what has a syntax of its own, such as extract.
    if path[:-1] not in ([], ["pg_catalog"]) or name not in policy.FUNCTIONS:
        advice = suggestions.for_function(name, policy.FUNCTIONS)
        findings.refuse(joined(say("The function %(name)s may not be used.", name=".".join(path)), advice))
    elif call.agg_star and name != "count":
        findings.refuse(say("%(name)s(*) has no meaning. Name the columns.", name=name))
    elif call.func_variadic:
        findings.refuse(say("VARIADIC may not be used. List the arguments."))
    elif any(argument.WhichOneof("node") == "named_arg_expr" for argument in call.args) and name in _BOUNDS:
        findings.refuse(say("Give the arguments of %(name)s by position, not by name.", name=name))
    elif name in _BOUNDS:
        _BOUNDS[name](call.args, findings)
    return name


def _repeat(arguments: Sequence[Tree], findings: Findings) -> None:
    times = bound_of(arguments[1]) if len(arguments) == 2 else None
    if times is None or times > policy.MAX_REPEAT:
        findings.refuse(
            say(
                "repeat needs a plain number of at most %(most)s, or least(%(most)s, ...).", most=str(policy.MAX_REPEAT)
            )
        )
    else:
        findings.grow(max(1, int(times)))


def _pad(arguments: Sequence[Tree], findings: Findings) -> None:
    width = bound_of(arguments[1]) if len(arguments) > 1 else None
    if width is None or width > policy.MAX_WIDTH:
        findings.refuse(say("lpad and rpad need a plain width of at most %(most)s.", most=str(policy.MAX_WIDTH)))


def _replace(arguments: Sequence[Tree], findings: Findings) -> None:
    new = text_of(arguments[2]) if len(arguments) > 2 else None
    if new is None:
        findings.refuse(say("The text to put in, the third argument of %(name)s, must be written out.", name="replace"))
        return
    old = text_of(arguments[1])
    findings.grow(max(1, -(-len(new) // max(1, len(old or "")))))


def _replace_pattern(arguments: Sequence[Tree], findings: Findings) -> None:
    new = text_of(arguments[2]) if len(arguments) > 2 else None
    if new is None:
        findings.refuse(
            say("The text to put in, the third argument of %(name)s, must be written out.", name="regexp_replace")
        )
    else:
        findings.grow(max(1, len(new)))


def _format(arguments: Sequence[Tree], findings: Findings) -> None:
    pattern = text_of(arguments[0]) if arguments else None
    if pattern is None or "%" in _FORMAT.sub("", pattern):
        findings.refuse(
            say("format needs its pattern written out, with %(mark)s and at most two digits of width.", mark="%s")
        )
    else:
        findings.grow(max(1, pattern.count("%")))


def _joined(place: int, name: str) -> Any:
    def check_separator(arguments: Sequence[Tree], findings: Findings) -> None:
        separator = text_of(arguments[place]) if len(arguments) > place else ""
        if separator is None or len(separator) > policy.MAX_SEPARATOR:
            findings.refuse(
                say(
                    "The separator of %(name)s must be written out, in at most %(most)s characters.",
                    name=name,
                    most=policy.MAX_SEPARATOR,
                )
            )

    return check_separator


def check_exponent(exponent: Tree, findings: Findings) -> None:
    """Refuse a power whose exponent is a large number."""
    number = number_of(exponent)
    if number is not None and abs(number) > policy.MAX_EXPONENT:
        findings.refuse(say("An exponent may be at most %(most)s.", most=policy.MAX_EXPONENT))


def _power(arguments: Sequence[Tree], findings: Findings) -> None:
    for exponent in arguments[1:]:
        check_exponent(exponent, findings)


_BOUNDS = {
    "power": _power,
    "pow": _power,
    "repeat": _repeat,
    "lpad": _pad,
    "rpad": _pad,
    "replace": _replace,
    "regexp_replace": _replace_pattern,
    "format": _format,
    "concat_ws": _joined(0, "concat_ws"),
    "array_to_string": _joined(1, "array_to_string"),
    "generate_series": series.check,
}
