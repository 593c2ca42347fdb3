"""Tables that stand side by side with no condition between them, so that each row of one meets each of the other.

It is what a forgotten join condition makes, and how a short query keeps a server busy. Customers with products are few
enough, and asked for: "each country with each category". A row that is picked by its key is one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from config.sentences import joined, say
from data_agent.guard import trees
from data_agent.guard.constants import operator_of
from data_agent.guard.findings import Findings
from data_agent.guard.scopes import Ctes, Relation
from data_agent.schema import PRODUCT_SPECS, USERS

Tree = Any

_FEW = sorted([USERS.name, PRODUCT_SPECS.name])
_KEYS = frozenset({"id", "email", f"{PRODUCT_SPECS.name}.name"})


class _Groups:
    """Names, and which of them are linked."""

    def __init__(self) -> None:
        self._leader: dict[str, str] = {}

    def of(self, name: str) -> str:
        while (leader := self._leader.get(name, name)) != name:
            name = leader
        return name

    def link(self, names: set[str]) -> None:
        first, *others = sorted(names)
        for other in others:
            self._leader[self.of(other)] = self.of(first)


def check(select: Tree, relations: Mapping[str, Relation], ctes: Ctes, findings: Findings) -> None:
    """Refuse a plain SELECT in which tables stand side by side without a condition."""
    tables = {
        alias: table for alias, table in _tables(select.from_clause) if table in findings.schema and table not in ctes
    }
    if len(tables) < 2:
        return
    groups = _Groups()
    single: set[str] = set()
    conditions = [select.where_clause, *_link_joins(select.from_clause, groups)]
    for condition in (part for each in conditions for part in _parts(each)):
        names = {name for ref in _columns(condition) for name in _meant(ref, relations)}
        if len(names) > 1:
            groups.link(names)
        elif len(names) == 1 and _picks_by_key(condition, tables):
            single |= names
    apart: dict[str, list[str]] = {}
    for alias in sorted(tables.keys() - single):
        apart.setdefault(groups.of(alias), []).append(alias)
    alone = sorted(tables[alias] for aliases in apart.values() for alias in aliases)
    if len(apart) > 1 and alone != _FEW:
        one, other, *_ = (aliases[0] for aliases in apart.values())
        findings.refuse(
            joined(
                say(
                    "No condition joins %(one)s and %(other)s, so each row of one would meet each of the other.",
                    one=one,
                    other=other,
                ),
                say("Join them on their keys, such as analytics_purchases.user_id = analytics_users.id."),
            )
        )


def _tables(items: Any) -> Iterator[tuple[str, str]]:
    for item in items:
        match item.WhichOneof("node"):
            case "range_var":
                yield str(item.range_var.alias.aliasname or item.range_var.relname), str(item.range_var.relname)
            case "join_expr":
                yield from _tables([item.join_expr.larg, item.join_expr.rarg])


def _link_joins(items: Any, groups: _Groups) -> Iterator[Tree]:
    """Link what USING, NATURAL and LATERAL link; yield the conditions of the joins."""
    before: set[str] = set()
    for item in items:
        kind = item.WhichOneof("node")
        if kind == "join_expr":
            join = item.join_expr
            yield join.quals
            yield from _link_joins([join.larg, join.rarg], groups)
            if join.using_clause or join.is_natural:
                groups.link(_names([join.larg]) | _names([join.rarg]))
        names = _names([item])
        sees_others = kind == "range_function" or (kind == "range_subselect" and item.range_subselect.lateral)
        if before and names and sees_others:
            groups.link(before | names)
        before |= names


def _names(items: Any) -> set[str]:
    found = set()
    for item in items:
        kind = item.WhichOneof("node")
        if kind == "join_expr":
            found |= _names([item.join_expr.larg, item.join_expr.rarg])
        elif kind == "range_var":
            found.add(str(item.range_var.alias.aliasname or item.range_var.relname))
        elif kind in ("range_function", "range_subselect"):
            found.add(str(getattr(item, kind).alias.aliasname))
    return found - {""}


def _parts(condition: Tree) -> Iterator[Tree]:
    """Yield what AND joins."""
    if condition.WhichOneof("node") == "bool_expr" and condition.bool_expr.boolop == _AND:
        for each in condition.bool_expr.args:
            yield from _parts(each)
    elif condition.WhichOneof("node"):
        yield condition


_AND = 1  # AND_EXPR


def _picks_by_key(condition: Tree, tables: Mapping[str, str]) -> bool:
    """Whether a condition says that a key is equal to something that is no column here."""
    if condition.WhichOneof("node") != "a_expr" or operator_of(condition.a_expr) != "=":
        return False
    sides = (condition.a_expr.lexpr, condition.a_expr.rexpr)
    for one, other in (sides, sides[::-1]):
        if one.WhichOneof("node") == "column_ref" and not any(_columns(other)):
            path = [field.string.sval for field in one.column_ref.fields]
            table = tables.get(path[0], "") if len(path) > 1 else ""
            return path[-1] in _KEYS or f"{table}.{path[-1]}" in _KEYS
    return False


def _meant(ref: Tree, relations: Mapping[str, Relation]) -> set[str]:
    path = [field.string.sval for field in ref.fields]
    if len(path) > 1:
        return {path[-2]}
    return {alias for alias, relation in relations.items() if relation.find(path[0])} or {path[0]}


def _columns(node: Tree) -> Iterator[Tree]:
    return (message for message in trees.parts(node) if message.DESCRIPTOR.name == "ColumnRef")
