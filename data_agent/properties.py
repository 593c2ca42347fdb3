"""Reads what `specs` says of a product as what it is: small models look for columns in it, and take figures for texts.

`specs ->> 'weight_kg'` is empty, because weight_kg is a column; `max(specs ->> 'ram_gb')` of 8 and 64 is 8. Which keys
there are, and of what kind, is known (`data_agent.samples`). The guard judges what comes of it, and the card says it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import postgast

from config.sentences import say
from data_agent import samples
from data_agent.guard.trees import from_items, own_parts, parts, tables
from data_agent.samples import Known
from data_agent.schema import PRODUCT_SPECS

_COLUMNS = frozenset(PRODUCT_SPECS.column_names) - {"specs"}
_CATEGORY, _BRAND = (f"{PRODUCT_SPECS.name}.{name}" for name in ("category", "brand"))
_AGGREGATES = frozenset({"min", "max", "sum", "avg"})
_ORDERING = frozenset({"<", "<=", ">", ">="})
_COMPARING = _ORDERING | {"=", "<>"}
_CALCULATING = frozenset({"+", "-", "*", "/"})
_BETWEEN = postgast.pg_query_pb2.AEXPR_BETWEEN
_TYPES = {"number": "numeric", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class _Read:
    """A value that is read from `specs`: the node of the tree, the operator, the column's name and the key."""

    node: Any
    operator: str
    path: tuple[str, ...]
    key: str


def correct(tree: Any, known: Known) -> list[str]:
    """Change a parse tree where a key of `specs` is read as what it is not; return what was changed, in sentences."""
    notes: list[str] = []
    if _cast_values(tree):
        notes.append(say("What specs says is cast now, not the name of the key."))
    for select in [message for message in parts(tree) if message.DESCRIPTOR.name == "SelectStmt"]:
        notes += _read_columns(select, known)
        notes += _read_as_they_are(select, known)
    return list(dict.fromkeys(notes))


def named(value: str, known: Known) -> tuple[str, ...]:
    """Return the conditions on products that words such as "laser printers" stand for; none where it is not clear.

    The words must be those of a category, and of one brand or one thing that its `specs` say, and no others.
    """
    own = set(samples.words(value))
    found = []
    for category in known.values.get(_CATEGORY, ()):
        kind = set(samples.words(category))
        if kind <= own:
            first = f"category = {_literal(category)}"
            found += [(first, second) for second in _conditions(own - kind, category, known)]
    return found[0] if len(found) == 1 else ()


def spoken_of(question: str, known: Known) -> Iterator[tuple[str, str, str]]:
    """Yield what a question says of a category it names: the words, the key of `specs`, and the condition."""
    own = set(samples.words(question))
    mentioned = known.mentioned(question)
    if any(column == f"{PRODUCT_SPECS.name}.name" for column, _ in mentioned):
        # Products are called by some of these words too.
        return
    for category in (value for column, value in mentioned if column == _CATEGORY):
        for each in known.specs.get(category, ()):
            for said in _words_of(each):
                its = set(samples.words(said))
                # A number alone may be a price.
                if its <= own and not all(word.isdecimal() for word in its):
                    yield said.replace("_", " "), each.key, _condition(each, said)


def _conditions(wanted: set[str], category: str, known: Known) -> Iterator[str]:
    for brand in known.values.get(_BRAND, ()):
        if set(samples.words(brand)) == wanted:
            yield f"brand = {_literal(brand)}"
    for each in known.specs.get(category, ()):
        for said in _words_of(each):
            if set(samples.words(said)) == wanted:
                yield _condition(each, said)


def _words_of(own: samples.Property) -> tuple[str, ...]:
    """Return what people call products by that have it: one of its texts, or the key that is true."""
    return (own.key,) if own.kind == "boolean" else own.texts


def _condition(own: samples.Property, said: str) -> str:
    key = f"specs ->> {_literal(own.key)}"
    return f"({key})::boolean" if own.kind == "boolean" else f"{key} = {_literal(said)}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _cast_values(tree: Any) -> bool:
    """Write `(specs ->> 'ram_gb')::numeric` for `specs ->> 'ram_gb'::numeric`, which PostgreSQL must refuse."""
    changed = False
    for node in [message for message in parts(tree) if message.DESCRIPTOR.name == "Node"]:
        expression = node.a_expr
        if node.WhichOneof("node") != "a_expr" or not expression.name or expression.name[-1].string.sval != "->>":
            continue
        key = expression.rexpr
        if key.WhichOneof("node") == "type_cast" and key.type_cast.arg.a_const.WhichOneof("val") == "sval":
            type_name = key.type_cast.type_name
            if type_name.names[-1].string.sval == "text":
                continue
            made = _column(())
            made.type_cast.type_name.CopyFrom(type_name)
            made.type_cast.arg.CopyFrom(node)
            made.type_cast.arg.a_expr.rexpr.CopyFrom(key.type_cast.arg)
            node.CopyFrom(made)
            changed = True
    return changed


def _read_columns(select: Any, known: Known) -> Iterator[str]:
    """Read a key that no product has, and that a column is called, from the column."""
    keys = {each.key for own in known.specs.values() for each in own}
    if not keys:
        return
    for each in list(_reads(select)):
        if each.operator == "->>" and each.key in _COLUMNS - keys:
            each.node.CopyFrom(_column((*each.path[:-1], each.key)))
            yield say("%(key)s is taken from the column of that name now; specs has no such key.", key=each.key)


def _read_as_they_are(select: Any, known: Known) -> Iterator[str]:
    """Cast what is compared, sorted, added up or decided by as if it were no text."""
    kinds: dict[str, set[str]] = {}
    for each in (each for own in known.specs.values() for each in own):
        kinds.setdefault(each.key, set()).add(each.kind)
    names = _names(select)
    for kind, node in list(_used(select)):
        read = _read(node, names)
        if read is None or kinds.get(read.key) != {kind}:
            continue
        _cast(node, _TYPES[kind])
        if kind == "number":
            yield say("%(key)s of specs is read as a number now, not as text.", key=read.key)
        else:
            yield say("%(key)s of specs is read as true or false now, not as text.", key=read.key)


def _reads(select: Any) -> Iterator[_Read]:
    """Yield what a SELECT itself reads from the `specs` of a table in its FROM."""
    names = _names(select)
    for message in own_parts(select):
        if message.DESCRIPTOR.name == "Node" and (read := _read(message, names)):
            yield read


def _names(select: Any) -> dict[str, str]:
    """Return the tables of a SELECT by the names they have there; none where it reads something else too."""
    items = list(from_items(select.from_clause))
    names = dict(tables(items))
    return names if len(names) == len(items) else {}


def _read(node: Any, names: dict[str, str]) -> _Read | None:
    if node.WhichOneof("node") != "a_expr" or not node.a_expr.name:
        return None
    operator, key = node.a_expr.name[-1].string.sval, node.a_expr.rexpr.a_const
    path = tuple(each.string.sval for each in node.a_expr.lexpr.column_ref.fields)
    own = [name for name, table in names.items() if table == PRODUCT_SPECS.name]
    if operator not in ("->", "->>") or key.WhichOneof("val") != "sval" or not path or path[-1] != "specs":
        return None
    if len(own) != 1 or (len(path) > 1 and path[0] != own[0]):
        return None
    # With another table beside it, the column that is meant may be in both.
    return _Read(node, operator, path if len(names) == 1 else (own[0], "specs"), key.sval.sval)


def _used(select: Any) -> Iterator[tuple[str, Any]]:
    """Yield expressions of a SELECT that are used as a number or as true or false, with which of both."""
    if select.HasField("where_clause"):
        yield "boolean", select.where_clause
    for message in own_parts(select):
        match message.DESCRIPTOR.name:
            case "FuncCall" if message.funcname[-1].string.sval in _AGGREGATES:
                yield from (("number", each) for each in message.args)
            case "SortBy" if not len(select.distinct_clause) and _is_text(message.node):
                yield "number", message.node
            case "BoolExpr":
                yield from (("boolean", each) for each in message.args)
            case "BooleanTest":
                yield "boolean", message.arg
            case "A_Expr" if message.name:
                yield from _sides(message)


def _sides(expression: Any) -> Iterator[tuple[str, Any]]:
    operator = expression.name[-1].string.sval
    if expression.kind == _BETWEEN:
        if all(_is_number(each, _is_text(expression.lexpr)) for each in expression.rexpr.list.items):
            yield "number", expression.lexpr
        return
    for one, other in ((expression.lexpr, expression.rexpr), (expression.rexpr, expression.lexpr)):
        compared = operator in _COMPARING and _is_number(other, operator in _ORDERING and _is_text(one))
        if operator in _CALCULATING or compared:
            yield "number", one
        elif operator in _COMPARING and other.a_const.WhichOneof("val") == "boolval":
            yield "boolean", one


def _is_text(node: Any) -> bool:
    """Whether `->>` makes it a text: what `->` gives is sorted as the number that it is."""
    return bool(node.a_expr.name and node.a_expr.name[-1].string.sval == "->>")


def _is_number(node: Any, in_quotes: bool) -> bool:
    match node.a_const.WhichOneof("val"):
        case "ival" | "fval":
            return True
        case "sval" if in_quotes:
            return str(node.a_const.sval.sval).replace(".", "", 1).isdecimal()
    return False


def _cast(node: Any, type_name: str) -> None:
    inner = type(node).FromString(node.SerializeToString())
    inner.a_expr.name[-1].string.sval = "->>"
    made = postgast.parse(f"SELECT 1::{type_name}").stmts[0].stmt.select_stmt.target_list[0].res_target.val
    made.type_cast.arg.CopyFrom(inner)
    node.CopyFrom(made)


def _column(path: tuple[str, ...]) -> Any:
    node = postgast.pg_query_pb2.Node()
    for text in path:
        node.column_ref.fields.add().string.sval = text
    return node
