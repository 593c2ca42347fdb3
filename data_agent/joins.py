"""Puts columns right that a model took from the wrong table.

It is what small models get wrong most: `country` of analytics_purchases. Which table has a column is known, and the
purchases are between the two others; so the table is joined by its key, or the column gets the name of the table that
has it. The guard judges what comes of it, and the card says it: also that rows are purchases then, where those of
customers or products were meant to be read.
"""

from dataclasses import dataclass, field
from typing import Any

import postgast
from google.protobuf.message import DecodeError

from config import sentences
from config.sentences import say
from data_agent import qualifiers
from data_agent.guard.trees import from_items, own_parts
from data_agent.schema import PRODUCT_SPECS, PURCHASES, SCHEMA, TABLES, USERS, Table

# Long texts nest deeply, and the parser's stack is the thread's.
_MAX_LENGTH = 4_000
_KEYS = {USERS.name: ("user_id", "id"), PRODUCT_SPECS.name: ("product_name", "name")}


@dataclass(frozen=True, slots=True)
class Completed:
    """A query with its columns taken from the tables that have them; `notes` say what was changed."""

    sql: str
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Select:
    """A SELECT: its tables by the names they have there, and its own columns, not those of sub-queries."""

    tree: Any
    tables: dict[str, Table]
    columns: list[Any]
    outputs: frozenset[str]
    notes: list[str] = field(default_factory=list)

    def having(self, column: str) -> list[str]:
        return [name for name, table in self.tables.items() if column in table.column_names]


def complete(sql: str) -> Completed:
    """Return a query with its columns put right; as it is where there is nothing to do, or it is not clear what."""
    if len(sql) > _MAX_LENGTH:
        return Completed(sql)
    try:
        tree = postgast.parse(sql)
        if len(tree.stmts) != 1 or tree.stmts[0].stmt.WhichOneof("node") != "select_stmt":
            return Completed(sql)
        select = tree.stmts[0].stmt.select_stmt
        notes = qualifiers.correct(tree)
        # A query in WITH sees nothing of the one around it, so that its columns are its own tables'.
        for each in (*(query.common_table_expr.ctequery.select_stmt for query in select.with_clause.ctes), select):
            notes += _complete_one(each)
        return Completed(postgast.deparse(tree), tuple(dict.fromkeys(notes))) if notes else Completed(sql)
    except (postgast.PgQueryError, DecodeError):
        return Completed(sql)


def _complete_one(tree: Any) -> list[str]:
    """Put the columns of one SELECT right, all of them or none; return what was changed."""
    select = _of_tables(tree)
    if select is None:
        return []
    before = tree.SerializeToString()
    if all(_put_right(select, column) for column in select.columns) and select.notes:
        return select.notes
    tree.ParseFromString(before)
    return []


def _of_tables(select: Any) -> _Select | None:
    tables: dict[str, Table] = {}
    for item in from_items(select.from_clause):
        table = SCHEMA.get(item.range_var.relname) if item.WhichOneof("node") == "range_var" else None
        if table is None:
            return None
        tables[item.range_var.alias.aliasname or table.name] = table
    outputs = frozenset(target.res_target.name for target in select.target_list if target.res_target.name)
    columns = [message for message in own_parts(select) if message.DESCRIPTOR.name == "ColumnRef"]
    if any(each.WhichOneof("node") != "string" for column in columns for each in column.fields):
        # With another table `*` would be more.
        return None
    return _Select(select, tables, columns, outputs)


def _put_right(select: _Select, column: Any) -> bool:
    """Give a column the name of a table that has it; return whether that can be done."""
    path = [each.string.sval for each in column.fields]
    name = path[-1]
    if len(path) > 2 or (len(path) == 1 and name in select.outputs):
        return len(path) == 1
    if len(path) == 2 and path[0] in select.tables and name in select.tables[path[0]].column_names:
        return True
    found = select.having(name)
    if not found:
        joined = _join(select, name)
        if joined is None:
            return False
        found = [joined]
        note = say("%(table)s was joined, because it has %(name)s.", table=select.tables[joined].name, name=name)
        rows = say("Each row is a purchase now.") if select.tables[joined] is PURCHASES else ""
        select.notes.append(sentences.joined(note, rows))
    elif len(path) == 2:
        table = select.tables[found[0]].name
        select.notes.append(say("%(name)s is now taken from %(table)s, which has it.", name=name, table=table))
    if len(found) > 1:
        return False
    # Also where the name was enough so far: the table that is joined may have such a column too.
    _qualify(column, found[0], name)
    return True


def _join(select: _Select, column: str) -> str | None:
    """Join the one table that has the column; return its name there, None where it is not clear which or how."""
    owners = [table for table in TABLES if column in table.column_names]
    owner = owners[0] if len(owners) == 1 else None
    # Purchases are joined to a table that is alone, the others to the purchases.
    beside = [name for name, table in select.tables.items() if table is PURCHASES or owner is PURCHASES]
    if owner is None or len(beside) != 1 or (owner is PURCHASES and len(select.tables) != 1):
        return None
    (name,) = beside
    ours, theirs = _KEYS[owner.name] if owner.name in _KEYS else _KEYS[select.tables[name].name][::-1]
    text = f'SELECT FROM x JOIN {owner.name} ON {owner.name}.{theirs} = "{name}".{ours}'
    made = postgast.parse(text).stmts[0].stmt.select_stmt.from_clause[0]
    item = next(item for item in select.tree.from_clause if name in _names(item))
    made.join_expr.larg.CopyFrom(item)
    item.CopyFrom(made)
    # What had no table's name until now had it from the tables before.
    for each in select.columns:
        own = each.fields[0].string.sval
        if len(each.fields) == 1 and own not in select.outputs and len(found := select.having(own)) == 1:
            _qualify(each, found[0], own)
    select.tables[owner.name] = owner
    return owner.name


def _qualify(column: Any, table: str, name: str) -> None:
    del column.fields[:]
    for text in (table, name):
        column.fields.add().string.sval = text


def _names(item: Any) -> list[str]:
    return [each.range_var.alias.aliasname or each.range_var.relname for each in from_items([item])]
