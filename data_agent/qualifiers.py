"""Gives columns the name of what they can be read from, where a query calls them by a name that is not there.

Small models write `WITH sold AS (SELECT ... FROM analytics_purchases p) SELECT p.product_name FROM sold`: outside of
the brackets there is no p. Where exactly one table, sub-query or WITH query in FROM has such a column, that is meant.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from config.sentences import say
from data_agent.guard.trees import from_items, own_parts
from data_agent.schema import SCHEMA

# The columns by the name of what has them.
_Sources = Mapping[str, frozenset[str]]


def correct(tree: Any) -> list[str]:
    """Change a parse tree where a column's qualifier names nothing; return what was changed, in sentences."""
    return list(dict.fromkeys(_in_select(tree.stmts[0].stmt.select_stmt, {}, frozenset())))


def _in_select(select: Any, queries: _Sources, outside: frozenset[str]) -> Iterator[str]:
    """Look through a SELECT and the queries in it; `outside` are the names of what the queries around it read."""
    queries = dict(queries)
    for each in select.with_clause.ctes:
        query = each.common_table_expr
        yield from _in_select(query.ctequery.select_stmt, queries, outside)
        queries[query.ctename] = _outputs(query.ctequery.select_stmt, query.aliascolnames)
    for side in (each for each in ("larg", "rarg") if select.HasField(each)):
        yield from _in_select(getattr(select, side), queries, outside)
    sources = _sources(select, queries)
    names = outside | frozenset(sources or ())
    for message in list(own_parts(select)):
        match message.DESCRIPTOR.name:
            case "ColumnRef" if sources:
                yield from _in_column(message, sources, names)
            case "SubLink":
                yield from _in_select(message.subselect.select_stmt, queries, names)
            case "RangeSubselect":
                yield from _in_select(message.subquery.select_stmt, queries, names)


def _in_column(column: Any, sources: _Sources, names: frozenset[str]) -> Iterator[str]:
    path = [each.string.sval for each in column.fields]
    if len(path) != 2 or path[0] in names:
        return
    having = [source for source, columns in sources.items() if path[1] in columns]
    if len(having) == 1:
        column.fields[0].string.sval = having[0]
        yield say("%(name)s is now taken from %(table)s, which has it.", name=path[1], table=having[0])


def _sources(select: Any, queries: _Sources) -> _Sources | None:
    """Return what a SELECT reads, by the names it has there; None where the columns of something are not known."""
    found: dict[str, frozenset[str]] = {}
    if any(each.DESCRIPTOR.name == "JoinExpr" and each.HasField("alias") for each in own_parts(select)):
        return None
    for item in from_items(select.from_clause):
        match item.WhichOneof("node"):
            case "range_var":
                table = item.range_var.relname
                columns = queries.get(table) or (frozenset(SCHEMA[table].column_names) if table in SCHEMA else None)
                alias = item.range_var.alias
            case "range_subselect":
                alias = item.range_subselect.alias
                table, columns = alias.aliasname, _outputs(item.range_subselect.subquery.select_stmt, ())
            case _:
                return None
        if not columns or len(alias.colnames):
            return None
        found[alias.aliasname or table] = columns
    return found


def _outputs(select: Any, renamed: Any) -> frozenset[str]:
    """Return the names of a query's columns, as far as they have one; none where `*` stands for some."""
    if len(renamed):
        return frozenset(each.string.sval for each in renamed)
    while select.HasField("larg"):
        select = select.larg
    names = set()
    for target in (each.res_target for each in select.target_list):
        fields = target.val.column_ref.fields
        if fields and fields[-1].WhichOneof("node") == "a_star":
            return frozenset()
        names.add(target.name or (fields[-1].string.sval if fields else ""))
    return frozenset(names - {""})
