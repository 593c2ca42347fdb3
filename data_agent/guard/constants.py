"""What an expression says without being run: texts, numbers, and numbers with arithmetic between them."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

Tree = Any

_HUGE = re.compile(r"\s*[+-]?[\d_.]+e[+-]?0*[1-9]\d{3,}\s*$|\s*[+-]?[\d_.]{1000}", re.IGNORECASE)
_LEAST = 2  # IS_LEAST
# They make much out of little.
_EXPLOSIVE = frozenset({"power", "pow", "exp", "lcm"})


def text_of(node: Tree) -> str | None:
    """Return a text that is written out, empty for NULL; None for anything else."""
    node = without_cast(node)
    if node.WhichOneof("node") == "a_const":
        if node.a_const.WhichOneof("val") == "sval":
            return str(node.a_const.sval.sval)
        return "" if node.a_const.isnull else None
    return None


def number_of(node: Tree) -> float | None:
    """Return the value of a number, or of numbers with + - * / ^ between them; None for anything else."""
    node = without_cast(node)
    match node.WhichOneof("node"):
        case "a_const":
            match node.a_const.WhichOneof("val"):
                case "ival":
                    return float(node.a_const.ival.ival)
                case "fval":
                    return float(node.a_const.fval.fval)
                case "sval":
                    return _read(node.a_const.sval.sval)
        case "a_expr":
            left = number_of(node.a_expr.lexpr) if node.a_expr.HasField("lexpr") else 0.0
            right = number_of(node.a_expr.rexpr)
            if left is not None and right is not None:
                return _calculated(left, operator_of(node.a_expr), right)
    return None


def bound_of(node: Tree) -> float | None:
    """Return a number that the expression cannot exceed: itself, or a part of least(...)."""
    node = without_cast(node)
    if node.WhichOneof("node") == "min_max_expr" and node.min_max_expr.op == _LEAST:
        parts = [bound for bound in map(bound_of, node.min_max_expr.args) if bound is not None]
        return min(parts, default=None)
    return number_of(node)


def scale_of(node: Tree) -> float:
    """Return how large an expression becomes by the numbers in it alone, where what is read from tables counts as 1."""
    node = without_cast(node)
    known = number_of(node)
    if known is not None:
        return abs(known)
    match node.WhichOneof("node"):
        case "a_expr":
            left, right = scale_of(node.a_expr.lexpr), scale_of(node.a_expr.rexpr)
            match operator_of(node.a_expr):
                case "*":
                    return max(left, 1.0) * max(right, 1.0)
                case "/":
                    divisor = number_of(node.a_expr.rexpr)
                    return left / min(1.0, abs(divisor)) if divisor else left
                case "^":
                    return float("inf")
            return left + right
        case "func_call":
            call = node.func_call
            return float("inf") if call.funcname[-1].string.sval in _EXPLOSIVE else _largest(call.args)
        case "min_max_expr":
            return min(map(scale_of, node.min_max_expr.args)) if _is_least(node) else _largest(node.min_max_expr.args)
        case "coalesce_expr":
            return _largest(node.coalesce_expr.args)
        case "case_expr":
            results = [when.case_when.result for when in node.case_expr.args]
            return _largest([*results, node.case_expr.defresult])
        case "sub_link":
            return _largest(_outputs(node.sub_link.subselect.select_stmt))
    return 1.0


def is_huge(constant: Tree) -> bool:
    """Whether an A_Const is a number, or a text that is one, with thousands of digits."""
    match constant.WhichOneof("val"):
        case "fval":
            return _HUGE.match(constant.fval.fval) is not None
        case "sval":
            return _HUGE.match(constant.sval.sval) is not None
    return False


def without_cast(node: Tree) -> Tree:
    """Return what is inside of casts."""
    while node.WhichOneof("node") == "type_cast":
        node = node.type_cast.arg
    return node


def operator_of(expression: Tree) -> str:
    """Return the operator of an A_Expr."""
    return str(expression.name[-1].string.sval)


def _is_least(node: Tree) -> bool:
    return bool(node.min_max_expr.op == _LEAST)


def _largest(nodes: Iterable[Tree]) -> float:
    return max(map(scale_of, nodes), default=1.0)


def _outputs(select: Tree) -> Iterator[Tree]:
    for target in select.target_list:
        yield target.res_target.val
    for row in select.values_lists:
        yield from row.list.items


def _read(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
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
