"""Looks at a parsed SELECT node by node and resolves every name, as PostgreSQL would.

Names must be resolved, because PostgreSQL takes `u.pg_column_size` for a call of that function where `u` has no such
column, and because a common table expression may bear the name of a table that must not be read. Where an exact copy
of PostgreSQL's scope rules would be long, a stricter rule stands in: one alias means one thing in a whole statement.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from data_agent import policy
from data_agent.schema import Table
from data_agent.scopes import Ctes, Output, Relation, Scope

# A message of libpg_query's parse tree: the classes are generated at run time.
Tree = Any


class Inspector:
    """Collects what a statement reads and uses, and the reasons against it; without a reason it is fine."""

    def __init__(self, schema: Mapping[str, Table]) -> None:
        self.reasons: list[str] = []
        self.tables: set[str] = set()
        self.columns: set[str] = set()
        self.functions: set[str] = set()
        self._schema = schema
        self._aliases: dict[str, object] = {}
        self._cte_names: set[str] = set()
        self._nodes = 0
        self._relations = 0

    def inspect(self, select: Tree) -> None:
        """Inspect a whole statement, a SelectStmt."""
        self._select(select, None, {})
        if not self.tables and not self.reasons:
            self._refuse(f"The query reads none of the tables {', '.join(self._schema)}.")

    # Statements

    def _select(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        if select.HasField("into_clause"):
            self._refuse("SELECT INTO would create a table. Leave INTO out.")
        if select.locking_clause:
            self._refuse("FOR UPDATE and FOR SHARE take locks. Leave them out.")
        if select.HasField("with_clause"):
            ctes = self._with(select.with_clause, outer, ctes)
        # LIMIT and OFFSET may not name columns of this query.
        for bound in (select.limit_count, select.limit_offset):
            self._visit(bound, Scope(outer), ctes)
        if select.HasField("larg"):
            left = self._select(select.larg, outer, ctes)
            right = self._select(select.rarg, outer, ctes)
            outputs = tuple(
                replace(column, weight=column.weight + (right[place].weight if place < len(right) else 0), source="")
                for place, column in enumerate(left)
            )
            self._visit_all(select.sort_clause, Scope(outer, outputs=outputs), ctes)
            return outputs
        if select.values_lists:
            return self._values(select, outer, ctes)
        return self._plain_select(select, outer, ctes)

    def _plain_select(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        scope = Scope(outer)
        for item in select.from_clause:
            self._from(item, scope, ctes)
        outputs = tuple(column for target in select.target_list for column in self._target(target, scope, ctes))
        for clause in (select.where_clause, select.having_clause):
            self._visit(clause, scope, ctes)
        self._visit_all(select.window_clause, scope, ctes)
        scope.outputs = outputs
        for clauses in (select.distinct_clause, select.group_clause, select.sort_clause):
            self._visit_all(clauses, scope, ctes)
        return outputs

    def _values(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        weights: list[int] = []
        for row in select.values_lists:
            for place, value in enumerate(row.list.items):
                weights += [0] * (place + 1 - len(weights))
                weights[place] += self._visit(value, Scope(outer), ctes)
        outputs = tuple(Output(f"column{place}", weight) for place, weight in enumerate(weights, 1))
        self._visit_all(select.sort_clause, Scope(outer, outputs=outputs), ctes)
        return outputs

    def _with(self, clause: Tree, outer: Scope | None, ctes: Ctes) -> Ctes:
        if clause.recursive:
            self._refuse("WITH RECURSIVE may run without end. Use generate_series, or a plain WITH.")
        for node in clause.ctes:
            cte = node.common_table_expr
            name = cte.ctename
            if name in self._schema or name in self._cte_names:
                self._refuse(f"The name {name!r} in WITH is taken already. Choose another one.")
            self._cte_names.add(name)
            if cte.HasField("search_clause") or cte.HasField("cycle_clause"):
                self._refuse("SEARCH and CYCLE belong to WITH RECURSIVE, which is not allowed.")
            if cte.ctequery.WhichOneof("node") != "select_stmt":
                self._refuse(f"WITH {name} must be a SELECT: only reading is allowed.")
                ctes = {**ctes, name: Relation(())}
                continue
            # In order: an expression sees only the ones before it, and a name after it means a real table.
            columns = self._select(cte.ctequery.select_stmt, outer, ctes)
            ctes = {**ctes, name: Relation(self._renamed(columns, cte.aliascolnames))}
        return ctes

    def _target(self, node: Tree, scope: Scope, ctes: Ctes) -> Iterable[Output]:
        target = node.res_target
        value = target.val
        kind = value.WhichOneof("node")
        if kind == "column_ref" and value.column_ref.fields[-1].WhichOneof("node") == "a_star":
            return self._star(value.column_ref, scope)
        weight = self._visit(value, scope, ctes)
        source = ""
        name = target.name
        if kind == "column_ref":
            last = value.column_ref.fields[-1].string.sval
            name = name or last
            source = next((column.source for column in scope.column(last)), "")
        elif kind == "func_call":
            name = name or value.func_call.funcname[-1].string.sval
        elif kind == "type_cast" and value.type_cast.arg.WhichOneof("node") == "column_ref":
            name = name or value.type_cast.arg.column_ref.fields[-1].string.sval
        # PostgreSQL's own names for the rest ("case", "?column?") need an alias before they can be used.
        return (Output(name or "?column?", max(weight, 1), source),)

    def _star(self, ref: Tree, scope: Scope) -> tuple[Output, ...]:
        parts = [part.string.sval for part in ref.fields[:-1]]
        if len(parts) > 1:
            self._refuse(f"Write {parts[-1]}.* instead of {'.'.join(parts)}.*.")
            return ()
        if parts:
            relation = scope.relation(parts[0])
            if relation is None:
                self._unknown_alias(parts[0], scope)
                return ()
            columns = relation.columns
        else:
            columns = tuple(column for relation in scope.relations.values() for column in relation.columns)
        for column in columns:
            self._use(column)
        return columns

    # FROM

    def _from(self, node: Tree, scope: Scope, ctes: Ctes) -> None:
        kind = node.WhichOneof("node")
        if kind == "range_var":
            self._table(node.range_var, scope, ctes)
        elif kind == "join_expr":
            join = node.join_expr
            if join.HasField("alias") or join.HasField("join_using_alias"):
                self._refuse("Give aliases to the tables, not to the JOIN.")
            self._from(join.larg, scope, ctes)
            self._from(join.rarg, scope, ctes)
            self._visit(join.quals, scope, ctes)
        elif kind == "range_subselect":
            item = node.range_subselect
            columns = self._select(item.subquery.select_stmt, scope if item.lateral else scope.parent, ctes)
            name = item.alias.aliasname or f"?{len(scope.relations)}"
            self._add(name, object(), Relation(self._renamed(columns, item.alias.colnames)), scope)
        elif kind == "range_function":
            self._table_function(node.range_function, scope, ctes)
        else:
            scope.broken = True
            self._refuse_node(type(getattr(node, kind)).__name__ if kind else "nothing")

    def _table(self, table: Tree, scope: Scope, ctes: Ctes) -> None:
        name = table.relname
        full = ".".join(part for part in (table.catalogname, table.schemaname, name) if part)
        alias = table.alias.aliasname or name
        self._relations += 1
        if self._relations == policy.MAX_RELATIONS + 1:
            self._refuse(f"The query names more than {policy.MAX_RELATIONS} tables. Use fewer.")
        if full in ctes:
            relation = ctes[full]
            meaning: object = ("with", name)
        elif name in self._schema and not table.catalogname and table.schemaname in ("", "public"):
            self.tables.add(name)
            relation = Relation(
                tuple(Output(column, source=f"{name}.{column}") for column in self._schema[name].column_names)
            )
            meaning = ("table", name)
        else:
            scope.broken = True
            self._refuse(f"The table {full!r} may not be read. There are {', '.join(self._schema)}.")
            return
        self._add(alias, meaning, Relation(self._renamed(relation.columns, table.alias.colnames)), scope)

    def _table_function(self, item: Tree, scope: Scope, ctes: Ctes) -> None:
        parts = [part for part in item.functions[0].list.items if part.WhichOneof("node")]
        call = parts[0]
        if len(item.functions) != 1 or len(parts) != 1 or item.coldeflist or call.WhichOneof("node") != "func_call":
            scope.broken = True
            self._refuse("Only a plain function call may stand in FROM.")
            return
        name = call.func_call.funcname[-1].string.sval
        weight = self._visit(call, scope, ctes)
        if name not in policy.TABLE_FUNCTIONS:
            scope.broken = True
            self._refuse(f"The function {name} may not stand in FROM.")
            return
        alias = item.alias.aliasname or name
        names = policy.TABLE_FUNCTIONS[name] or (alias,)
        columns = [Output(column, max(weight, 1)) for column in names]
        if item.ordinality:
            columns.append(Output("ordinality"))
        given = [part.string.sval for part in item.alias.colnames]
        if len(given) > len(columns):
            self._refuse(f"{alias} has {len(columns)} columns, not {len(given)}.")
        columns = [replace(column, name=new) for column, new in zip(columns, given, strict=False)] + columns[
            len(given) :
        ]
        self._add(alias, object(), Relation(tuple(columns)), scope)

    def _add(self, alias: str, meaning: object, relation: Relation, scope: Scope) -> None:
        if self._aliases.setdefault(alias, meaning) != meaning or alias in scope.relations:
            self._refuse(f"The alias {alias!r} means two different things. Give each its own alias.")
        scope.relations[alias] = relation

    def _renamed(self, columns: tuple[Output, ...], names: Iterable[Tree]) -> tuple[Output, ...]:
        """Apply a list of column aliases, as in `t(a, b)`."""
        given = [name.string.sval for name in names]
        if not given:
            return columns
        if len(given) != len(columns):
            self._refuse(f"The list of column names ({', '.join(given)}) must name every column, {len(columns)} here.")
            return columns
        return (
            tuple(replace(column, name=new) for column, new in zip(columns, given, strict=True)) if given else columns
        )

    # Expressions

    def _visit(self, message: Tree, scope: Scope, ctes: Ctes) -> int:
        """Check an expression and return how many nodes it has once all that it names is expanded."""
        before = self._nodes
        self._node(message, scope, ctes)
        return self._nodes - before

    def _visit_all(self, messages: Iterable[Tree], scope: Scope, ctes: Ctes) -> None:
        for message in messages:
            self._visit(message, scope, ctes)

    def _node(self, message: Tree, scope: Scope, ctes: Ctes) -> None:
        kind = message.DESCRIPTOR.name
        if kind == "Node":
            inner = message.WhichOneof("node")
            if inner:
                self._node(getattr(message, inner), scope, ctes)
            return
        if kind not in policy.NODES:
            self._refuse_node(kind)
            return
        self._count(1)
        if kind == "ColumnRef":
            self._column(message, scope)
        elif kind == "SelectStmt":
            self._select(message, scope, ctes)
        elif kind == "TypeName":
            self._type(message)
        elif kind == "A_Const":
            if message.WhichOneof("val") == "bsval":
                self._refuse_node("BitString")
        else:
            self._check_details(kind, message)
            for descriptor, value in message.ListFields():
                if descriptor.message_type is None or descriptor.name in ("funcname", "name", "oper_name", "use_op"):
                    continue
                for child in (value,) if isinstance(value, Message) else value:
                    self._node(child, scope, ctes)

    def _check_details(self, kind: str, node: Tree) -> None:
        if kind == "FuncCall":
            self._function(node)
        elif kind == "A_Expr":
            self._operator(node.name)
        elif kind == "SubLink":
            self._operator(node.oper_name)
        elif kind == "SortBy" and node.use_op:
            self._refuse("Write ORDER BY ... ASC or DESC instead of USING.")
        elif kind == "SQLValueFunction":
            name = type(node).DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[node.op].name
            if name not in policy.SQL_VALUES:
                self._refuse(f"{name.removeprefix('SVFOP_').lower()} may not be used.")
        elif kind == "A_Indirection" and any(part.WhichOneof("node") != "a_indices" for part in node.indirection):
            self._refuse("A field of a row, as in (row).field, may not be taken. Name the column directly.")

    def _function(self, call: Tree) -> None:
        path = [part.string.sval for part in call.funcname]
        name = path[-1]
        # The parser itself writes pg_catalog before what has a syntax of its own, such as extract.
        if path[:-1] not in ([], ["pg_catalog"]) or name not in policy.FUNCTIONS:
            self._refuse(f"The function {'.'.join(path)} may not be used.")
        elif call.func_variadic:
            self._refuse("VARIADIC may not be used.")
        self.functions.add(name)

    def _operator(self, name: Iterable[Tree]) -> None:
        path = [part.string.sval for part in name]
        if len(path) > 1 or (path and path[0] not in policy.OPERATORS):
            self._refuse(f"The operator {'.'.join(path)} may not be used.")

    def _type(self, type_name: Tree) -> None:
        path = [part.string.sval for part in type_name.names]
        if (
            path[:-1] not in ([], ["pg_catalog"])
            or path[-1] not in policy.TYPES
            or type_name.setof
            or type_name.pct_type
            or any(part.WhichOneof("node") != "a_const" for part in type_name.typmods)
        ):
            self._refuse(f"The type {'.'.join(path)} may not be used.")

    def _column(self, ref: Tree, scope: Scope) -> None:
        if any(part.WhichOneof("node") != "string" for part in ref.fields):
            self._refuse("A * may stand only directly after SELECT and in count(*). Name the columns.")
            return
        path = [part.string.sval for part in ref.fields]
        if len(path) == 1:
            found = scope.column(path[0])
            if not found:
                self._unknown_column(path[0], scope)
        elif len(path) == 2:
            relation = scope.relation(path[0])
            if relation is None:
                self._unknown_alias(path[0], scope)
                return
            found = relation.find(path[1])
            if not found:
                names = ", ".join(dict.fromkeys(column.name for column in relation.columns))
                self._refuse(f"{path[0]} has no column {path[1]!r}. It has {names}.")
        else:
            self._refuse(f"Write {'.'.join(path[-2:])} instead of {'.'.join(path)}.")
            return
        if found:
            # Where a bare name may mean several columns, PostgreSQL decides; count the largest.
            self._use(max(found, key=lambda column: column.weight))
            self.columns.update(column.source for column in found if column.source)

    def _use(self, column: Output) -> None:
        self._count(column.weight)
        if column.source:
            self.columns.add(column.source)

    # Reasons

    def _count(self, nodes: int) -> None:
        if self._nodes <= policy.MAX_EXPANDED_NODES < self._nodes + nodes:
            self._refuse("The query becomes too large once its sub-queries are put in place. Simplify it.")
        # Bounded, so that the numbers stay small whatever the statement does.
        self._nodes = min(self._nodes + nodes, 2 * policy.MAX_EXPANDED_NODES)

    def _unknown_column(self, name: str, scope: Scope) -> None:
        if scope.relation(name) is not None:
            self._refuse(f"{name!r} is a whole row. Name the columns that are needed.")
        elif not scope.uncertain:
            self._refuse(f"There is no column {name!r} here.")

    def _unknown_alias(self, alias: str, scope: Scope) -> None:
        if not scope.uncertain:
            self._refuse(f"There is no table or alias {alias!r} here.")

    def _refuse_node(self, kind: str) -> None:
        self._refuse(f"This kind of SQL is not allowed ({kind}). Only plain reading is.")

    def _refuse(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)
