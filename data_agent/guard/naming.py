"""The name that PostgreSQL gives to a column of a SELECT list that has no alias.

The rules are `FigureColname` of PostgreSQL's parser (src/backend/parser/parse_target.c). To know a column that is not
there would be dangerous: PostgreSQL may take `x.name` for a call of the function `name` then.
"""

from typing import Any

UNNAMED = "?column?"

_FIXED = {
    "grouping_func": "grouping",
    "a_array_expr": "array",
    "row_expr": "row",
    "coalesce_expr": "coalesce",
}


def name_of(value: Any) -> str:
    """Return the name of an expression."""
    return _named(value)[0] or UNNAMED


def _named(node: Any) -> tuple[str, int]:
    """Return a name and how good it is: 2 for a real one, 1 for one that a better one may replace, 0 for none."""
    kind = node.WhichOneof("node") or ""
    value: Any = getattr(node, kind) if kind else None
    if kind in _FIXED:
        return _FIXED[kind], 2
    match kind:
        case "column_ref":
            names = [part.string.sval for part in value.fields if part.WhichOneof("node") == "string"]
            return (names[-1], 2) if names else ("", 0)
        case "a_indirection":
            names = [part.string.sval for part in value.indirection if part.WhichOneof("node") == "string"]
            return (names[-1], 2) if names else _named(value.arg)
        case "func_call":
            return value.funcname[-1].string.sval, 2
        case "a_expr":
            return ("nullif", 2) if _enum(value, "kind") == "AEXPR_NULLIF" else ("", 0)
        case "type_cast":
            name, strength = _named(value.arg)
            return (name, strength) if strength > 1 else (value.type_name.names[-1].string.sval, 1)
        case "collate_clause":
            return _named(value.arg)
        case "case_expr":
            name, strength = _named(value.defresult)
            return (name, strength) if strength > 1 else ("case", 1)
        case "min_max_expr":
            return ("greatest" if _enum(value, "op") == "IS_GREATEST" else "least"), 2
        case "sqlvalue_function":
            return _enum(value, "op").removeprefix("SVFOP_").removesuffix("_N").lower(), 2
        case "sub_link":
            return _sublink(_enum(value, "sub_link_type"), value.subselect)
    return "", 0


def _sublink(kind: str, subquery: Any) -> tuple[str, int]:
    if kind == "EXPR_SUBLINK":
        select = subquery.select_stmt
        while select.HasField("larg"):
            select = select.larg
        target = select.target_list[0].res_target if select.target_list else None
        return (target.name or name_of(target.val), 2) if target else (UNNAMED, 2)
    name = {"EXISTS_SUBLINK": "exists", "ARRAY_SUBLINK": "array"}.get(kind, "")
    return name, 2 if name else 0


def _enum(message: Any, field: str) -> str:
    """Return the name of an enumerated value."""
    number = getattr(message, field)
    return str(message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[number].name)
