"""What stands in FROM: tables, names from WITH, sub-queries, functions and joins, and what they are called.

Which names an item sees follows PostgreSQL: a condition of a JOIN sees the two sides of that join and what is around
the statement, but not the other items of FROM; only LATERAL and functions see the items before them.
"""

from collections.abc import Callable, Iterable
from typing import Any

from config.sentences import joined, say
from data_agent.guard import policy, suggestions
from data_agent.guard.findings import Findings
from data_agent.guard.scopes import Ctes, Output, Relation, Scope

Tree = Any


class FromItems:
    """Inspects items of FROM; statements and expressions inside them go back to the inspector."""

    def __init__(
        self,
        findings: Findings,
        select: Callable[[Tree, Scope | None, Ctes], tuple[Output, ...]],
        visit: Callable[[Tree, Scope, Ctes], int],
    ) -> None:
        self._findings = findings
        self._select = select
        self._visit = visit

    def scope(self, items: Iterable[Tree], outer: Scope | None, ctes: Ctes) -> Scope:
        """Return what names mean in a statement with these items."""
        scope = Scope(outer)
        for item in items:
            scope = self._joined(scope, self._item(item, scope, ctes))
        if len(scope.relations) > policy.MAX_JOINED:
            self._findings.refuse(
                say("The query joins more than %(most)s tables at once. Use fewer.", most=policy.MAX_JOINED)
            )
        return scope

    def _joined(self, scope: Scope, part: Scope) -> Scope:
        for alias in part.relations.keys() & scope.relations.keys():
            self._findings.refuse(
                say("The alias %(name)s means two different things. Give each its own alias.", name=repr(alias))
            )
        return scope.with_part(part)

    def _item(self, node: Tree, scope: Scope, ctes: Ctes) -> Scope:
        """Return what an item adds; `scope` is what stands before it."""
        kind = node.WhichOneof("node")
        match kind:
            case "range_var":
                return self._table(node.range_var, ctes)
            case "join_expr":
                return self._join(node.join_expr, scope, ctes)
            case "range_subselect":
                return self._subquery(node.range_subselect, scope, ctes)
            case "range_function":
                return self._function(node.range_function, scope, ctes)
            case "range_table_sample":
                return self._sample(node.range_table_sample, ctes)
        self._findings.refuse_kind(getattr(node, kind).DESCRIPTOR.name if kind else "nothing")
        return Scope(broken=True)

    def _table(self, table: Tree, ctes: Ctes) -> Scope:
        name = str(table.relname)
        qualified = bool(table.schemaname or table.catalogname)
        schema = self._findings.schema
        if not qualified and name in ctes:
            relation = ctes[name]
        elif name in schema and not table.catalogname and table.schemaname in ("", "public"):
            # Without the schema's name the search path of the role decides whether personal data is masked.
            table.schemaname = ""
            self._findings.tables.add(name)
            columns = tuple(Output(column, sources=(f"{name}.{column}",)) for column in schema[name].column_names)
            relation = Relation(columns, tables=1, table="" if table.alias.aliasname else name)
        else:
            full = ".".join(part for part in (table.catalogname, table.schemaname, name) if part)
            self._findings.refuse(
                joined(
                    say("The table %(name)s may not be read.", name=repr(full)),
                    suggestions.for_table(full, [*schema, *ctes]),
                )
            )
            # Its columns are not known, and complaints about them would only confuse.
            return Scope(broken=True)
        self._findings.count_tables(relation.tables)
        return self._named(relation, table.alias, name)

    def _subquery(self, item: Tree, scope: Scope, ctes: Ctes) -> Scope:
        before = self._findings.relations
        columns = self._select(item.subquery.select_stmt, scope if item.lateral else scope.parent, ctes)
        return self._named(Relation(columns, self._findings.relations - before), item.alias, "")

    def _named(self, relation: Relation, alias: Tree, default: str) -> Scope:
        """Return a part with one relation, under its alias and with its new column names."""
        given = [name.string.sval for name in alias.colnames]
        name = str(alias.aliasname or default)
        if len(given) > len(relation.columns):
            self._findings.refuse(
                say(
                    "%(name)s has %(there)s columns, not %(named)s.",
                    name=name,
                    there=len(relation.columns),
                    named=len(given),
                )
            )
        if given:
            relation = relation.renamed(given)
        return Scope(relations={name: relation} if name else {}, columns=relation.columns)

    def _sample(self, item: Tree, ctes: Ctes) -> Scope:
        part = self._table(item.relation.range_var, ctes)
        name = item.relation.range_var.relname
        method = [word.string.sval for word in item.method]
        numbers = [*item.args, *([item.repeatable] if item.HasField("repeatable") else [])]
        if method not in (["system"], ["bernoulli"]) or any(not _plain_number(each) for each in numbers):
            self._findings.refuse(say("TABLESAMPLE takes SYSTEM or BERNOULLI and plain numbers."))
        columns = self._findings.schema[name].personal_columns if name in self._findings.schema else ()
        if columns and not self._findings.personal:
            self._findings.refuse(
                say("%(name)s is masked and cannot be sampled. Write WHERE id %% 10 = 0 instead.", name=name)
            )
        return part

    # Joins

    def _join(self, join: Tree, scope: Scope, ctes: Ctes) -> Scope:
        left = self._item(join.larg, scope, ctes)
        right = self._item(join.rarg, self._joined(scope, left), ctes)
        both = self._joined(left, right)
        both = Scope(scope.parent, both.relations, both.columns, both.broken)
        self._visit(join.quals, both, ctes)
        shared = [name.string.sval for name in join.using_clause]
        if join.is_natural:
            others = {column.name for column in right.columns}
            shared = [column.name for column in left.columns if column.name in others]
        merged = self._merged(shared, left, right)
        if shared:
            rest = tuple(column for column in (*left.columns, *right.columns) if column.name not in shared)
            both.columns = merged + rest
        if join.HasField("alias"):
            return self._named(Relation(both.columns), join.alias, "")
        if join.HasField("join_using_alias"):
            return self._joined(both, self._named(Relation(merged), join.join_using_alias, ""))
        return both

    def _merged(self, shared: Iterable[str], left: Scope, right: Scope) -> tuple[Output, ...]:
        """Return the columns that USING or NATURAL makes one of."""
        merged = []
        for name in shared:
            found = [[column for column in side.columns if column.name == name] for side in (left, right)]
            for side, columns in zip((left, right), found, strict=True):
                if not columns and not side.broken:
                    known = [column.name for column in side.columns]
                    advice = suggestions.for_column(name, known, self._findings.schema)
                    self._findings.refuse(
                        joined(say("Both sides of USING need a column %(name)s.", name=repr(name)), advice)
                    )
            columns = found[0] + found[1]
            for column in columns:
                self._findings.use(column)
            sources = tuple(dict.fromkeys(source for column in columns for source in column.sources))
            merged.append(Output(name, sum(column.weight for column in columns) or 1, sources))
        return tuple(merged)

    # Functions

    def _function(self, item: Tree, scope: Scope, ctes: Ctes) -> Scope:
        columns: list[Output] = []
        alias = str(item.alias.aliasname)
        single = len(item.functions) == 1
        for function in item.functions:
            # Each is a list of the call and of the columns that are declared for it alone.
            call, *declared = [part for part in function.list.items if part.WhichOneof("node")]
            if call.WhichOneof("node") != "func_call":
                self._findings.refuse(say("Only function calls and tables may stand in FROM."))
                return Scope(broken=True)
            weight = max(1, self._visit(call, scope, ctes))
            definitions = declared[0].list.items if declared else item.coldeflist
            names = self._columns_of(call.func_call, definitions, alias if single else "")
            if names is None:
                return Scope(broken=True)
            for definition in definitions:
                self._visit(definition.column_def.type_name, scope, ctes)
            columns += [Output(name, weight) for name in names]
        if item.ordinality:
            columns.append(Output("ordinality"))
        default = str(item.functions[0].list.items[0].func_call.funcname[-1].string.sval)
        return self._named(Relation(tuple(columns), row=False), item.alias, default)

    def _columns_of(self, call: Tree, definitions: Iterable[Tree], alias: str) -> list[str] | None:
        """Return the columns that a function gives in FROM; None where it may not stand there."""
        name = str(call.funcname[-1].string.sval)
        declared = [str(definition.column_def.colname) for definition in definitions]
        if name in policy.RECORD_FUNCTIONS:
            if not declared:
                self._findings.refuse(say("%(name)s needs its columns: AS t(ram_gb int, colour text).", name=name))
            return declared or None
        if name not in policy.TABLE_FUNCTIONS or declared:
            self._findings.refuse(say("The function %(name)s may not stand in FROM.", name=name))
            return None
        columns = policy.TABLE_FUNCTIONS[name]
        if columns is not None:
            return list(columns)
        # unnest(a, b) gives a column for each array.
        if name == "unnest" and len(call.args) > 1:
            return [name] * len(call.args)
        return [alias or name]


def _plain_number(node: Tree) -> bool:
    return node.WhichOneof("node") == "a_const" and node.a_const.WhichOneof("val") in ("ival", "fval")
