"""Looks at a parsed SELECT node by node, in the order and with the scopes of PostgreSQL's own analysis.

What is allowed is listed in `data_agent.guard.policy`; each kind of node that is not listed is a reason against the
statement. `from_items` knows what stands in FROM, `names` what a reference means, `calls` which functions may be
called.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from config.sentences import say
from data_agent.guard import calls, policy, products
from data_agent.guard.constants import is_huge
from data_agent.guard.findings import Findings
from data_agent.guard.from_items import FromItems
from data_agent.guard.names import Names
from data_agent.guard.naming import name_of
from data_agent.guard.scopes import Ctes, Output, Relation, Scope
from data_agent.schema import Table

# A message of libpg_query's parse tree: the classes are generated at run time.
Tree = Any

# Names in them are no expressions, and are checked where they stand.
_NAMES = frozenset({"funcname", "name", "oper_name", "use_op", "collname"})


def inspect(select: Tree, schema: Mapping[str, Table], *, personal: bool) -> Findings:
    """Inspect a whole statement, a SelectStmt. Takes `public.` away from names in it, which changes no meaning."""
    inspector = Inspector(Findings(schema, personal))
    inspector.statement(select, None, {})
    findings = inspector.findings
    if not findings.tables and not findings.reasons:
        findings.refuse(say("The query reads none of the tables %(names)s.", names=", ".join(schema)))
    return findings


class Inspector:
    """Goes through a statement and collects findings."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._names = Names(findings)
        self._from = FromItems(findings, self.statement, self.visit)

    # Statements

    def statement(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        """Inspect a SELECT, VALUES or set operation and return its columns."""
        if select.HasField("into_clause"):
            self.findings.refuse(say("SELECT INTO would create a table. Leave INTO out."))
        if select.locking_clause:
            self.findings.refuse(say("FOR UPDATE and FOR SHARE take locks. Leave them out."))
        if select.HasField("with_clause"):
            ctes = self._with(select.with_clause, outer, ctes)
        # LIMIT and OFFSET may not name columns of this query.
        for bound in (select.limit_count, select.limit_offset):
            self.visit(bound, Scope(outer), ctes)
        if select.HasField("larg"):
            return self._set_operation(select, outer, ctes)
        if select.values_lists:
            return self._values(select, outer, ctes)
        return self._plain_select(select, outer, ctes)

    def _set_operation(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        left = self.statement(select.larg, outer, ctes)
        right = self.statement(select.rarg, outer, ctes)
        if len(left) != len(right):
            self.findings.refuse(
                say(
                    "Both sides must have as many columns; they have %(left)s and %(right)s.",
                    left=len(left),
                    right=len(right),
                )
            )
        outputs = tuple(
            Output(one.name, one.weight + other.weight, (*one.sources, *other.sources))
            for one, other in zip(left, right, strict=False)
        )
        self._by_output(select.sort_clause, Scope(outer, columns=outputs), outputs, ctes)
        return outputs

    def _plain_select(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        scope = self._from.scope(select.from_clause, outer, ctes)
        outputs = tuple(column for target in select.target_list for column in self._target(target, scope, ctes))
        self.visit(select.where_clause, scope, ctes)
        self.visit(select.having_clause, scope, ctes)
        products.check(select, scope.relations, ctes, self.findings)
        for window in select.window_clause:
            self.visit(window, scope, ctes)
        for clause in (select.distinct_clause, select.group_clause, select.sort_clause):
            self._by_output(clause, scope, outputs, ctes)
        return outputs

    def _values(self, select: Tree, outer: Scope | None, ctes: Ctes) -> tuple[Output, ...]:
        weights: list[int] = []
        scope = Scope(outer)
        for row in select.values_lists:
            for place, value in enumerate(row.list.items):
                weights += [0] * (place + 1 - len(weights))
                weights[place] += self.visit(value, scope, ctes)
        outputs = tuple(Output(f"column{place}", weight) for place, weight in enumerate(weights, 1))
        self._by_output(select.sort_clause, scope, outputs, ctes)
        return outputs

    def _with(self, clause: Tree, outer: Scope | None, ctes: Ctes) -> Ctes:
        if clause.recursive:
            self.findings.refuse(say("WITH RECURSIVE may run without end. Use generate_series, or a plain WITH."))
        own: set[str] = set()
        for node in clause.ctes:
            cte = node.common_table_expr
            name = str(cte.ctename)
            if name in self.findings.schema or name in own:
                self.findings.refuse(
                    say("The name %(name)s in WITH is taken already. Choose another one.", name=repr(name))
                )
            own.add(name)
            if cte.HasField("search_clause") or cte.HasField("cycle_clause"):
                self.findings.refuse(say("SEARCH and CYCLE belong to WITH RECURSIVE, which is not allowed."))
            if cte.ctequery.WhichOneof("node") != "select_stmt":
                self.findings.refuse(say("WITH %(name)s must be a SELECT: only reading is allowed.", name=name))
                ctes = {**ctes, name: Relation(())}
                continue
            # In order: an expression sees only the ones before it, and a name after it means a real table.
            before = self.findings.relations
            relation = Relation(self.statement(cte.ctequery.select_stmt, outer, ctes))
            given = [part.string.sval for part in cte.aliascolnames]
            if len(given) > len(relation.columns):
                self.findings.refuse(
                    say(
                        "%(name)s has %(there)s columns, not %(named)s.",
                        name=name,
                        there=len(relation.columns),
                        named=len(given),
                    )
                )
            ctes = {**ctes, name: replace(relation.renamed(given), tables=self.findings.relations - before)}
        return ctes

    def _target(self, node: Tree, scope: Scope, ctes: Ctes) -> Iterable[Output]:
        target = node.res_target
        value = target.val
        if value.WhichOneof("node") == "column_ref":
            columns = self._names.column(value.column_ref, scope)
            if value.column_ref.fields[-1].WhichOneof("node") == "a_star":
                return columns
            # A whole row is one column, which bears the row's name.
            return (_combined(target.name or name_of(value), columns),)
        fields = self._expanded(value, scope, ctes)
        if fields is not None:
            return fields
        weight = self.visit(value, scope, ctes)
        return (Output(target.name or name_of(value), max(weight, 1)),)

    def _expanded(self, value: Tree, scope: Scope, ctes: Ctes) -> tuple[Output, ...] | None:
        """Return the columns of `(jsonb_each(specs)).*` or `(alias).*`; None where it is something else."""
        if value.WhichOneof("node") != "a_indirection":
            return None
        node = value.a_indirection
        if len(node.indirection) != 1 or node.indirection[0].WhichOneof("node") != "a_star":
            return None
        weight = self.visit(value, scope, ctes)
        if node.arg.WhichOneof("node") == "func_call":
            names = policy.TABLE_FUNCTIONS.get(node.arg.func_call.funcname[-1].string.sval) or ()
            return tuple(Output(name, max(weight, 1)) for name in names)
        relation = scope.relation(node.arg.column_ref.fields[0].string.sval)
        return relation.columns if relation else ()

    def _by_output(self, nodes: Iterable[Tree], scope: Scope, outputs: tuple[Output, ...], ctes: Ctes) -> None:
        """Visit ORDER BY, GROUP BY or DISTINCT ON, where a bare name may mean a column of the SELECT list."""
        for node in nodes:
            kind = node.WhichOneof("node")
            if kind == "sort_by":
                self._check_details("SortBy", node.sort_by)
                self._by_output((node.sort_by.node,), scope, outputs, ctes)
            elif kind == "grouping_set":
                self._by_output(node.grouping_set.content, scope, outputs, ctes)
            elif kind == "row_expr":
                self._by_output(node.row_expr.args, scope, outputs, ctes)
            elif kind == "column_ref" and len(node.column_ref.fields) == 1:
                name = node.column_ref.fields[0].string.sval
                named = [column for column in outputs if column.name == name]
                if named:
                    self.findings.count(max(column.weight for column in named))
                else:
                    self.visit(node, scope, ctes)
            else:
                self.visit(node, scope, ctes)

    # Expressions

    def visit(self, message: Tree, scope: Scope, ctes: Ctes) -> int:
        """Check an expression and return how many nodes it has once all that it names is put in place."""
        before = self.findings.nodes
        self._node(message, scope, ctes)
        return self.findings.nodes - before

    def _node(self, message: Tree, scope: Scope, ctes: Ctes) -> None:
        kind = message.DESCRIPTOR.name
        if kind == "Node":
            inner = message.WhichOneof("node")
            if inner:
                self._node(getattr(message, inner), scope, ctes)
            return
        if kind not in policy.NODES:
            self.findings.refuse_kind(kind)
            return
        self.findings.count(1)
        match kind:
            case "String":
                pass
            case "ColumnRef":
                self._names.column(message, scope)
            case "A_Const":
                if message.WhichOneof("val") == "bsval":
                    self.findings.refuse_kind("BitString")
                elif is_huge(message):
                    self.findings.refuse(say("A number in the query is far too large."))
            case "SelectStmt":
                self.statement(message, scope, ctes)
            case "TypeName":
                self._type(message)
            case "A_Indirection":
                self._indirection(message, scope, ctes)
            case _:
                self._check_details(kind, message)
                self._children(message, scope, ctes)

    def _children(self, message: Tree, scope: Scope, ctes: Ctes) -> None:
        for descriptor, value in message.ListFields():
            if descriptor.message_type is None or descriptor.name in _NAMES:
                continue
            for child in (value,) if isinstance(value, Message) else value:
                self._node(child, scope, ctes)

    def _check_details(self, kind: str, node: Tree) -> None:
        match kind:
            case "FuncCall":
                calls.check(node, self.findings)
            case "A_Expr":
                self._operator(node.name)
                if node.name[-1].string.sval == "^":
                    calls.check_exponent(node.rexpr, self.findings)
            case "SubLink":
                self._operator(node.oper_name)
            case "SortBy":
                if node.use_op:
                    self.findings.refuse(say("Write ORDER BY ... ASC or DESC instead of USING."))
            case "SQLValueFunction":
                name = type(node).DESCRIPTOR.fields_by_name["op"].enum_type.values_by_number[node.op].name
                if name not in policy.SQL_VALUES:
                    self.findings.refuse(say("%(name)s may not be used.", name=name.removeprefix("SVFOP_").lower()))
            case "CollateClause":
                path = [part.string.sval for part in node.collname]
                if len(path) != 1 or path[0] not in policy.COLLATIONS:
                    self.findings.refuse(say("The collation %(name)s may not be used.", name=".".join(path)))

    def _indirection(self, node: Tree, scope: Scope, ctes: Ctes) -> None:
        """Check subscripts, and `(row).field` where the row is an alias or a function's result."""
        first = node.indirection[0]
        part = first.WhichOneof("node")
        if part == "a_indices":
            self._node(node.arg, scope, ctes)
            rest = node.indirection
        else:
            name = first.string.sval if part == "string" else "*"
            if not self._has_field(node.arg, name, scope, ctes):
                self.findings.refuse(
                    say("A field of a row, as in (row).field, may not be taken. Name the column directly.")
                )
            rest = node.indirection[1:]
        for part in rest:
            if part.WhichOneof("node") != "a_indices":
                self.findings.refuse(
                    say("A field of a row, as in (row).field, may not be taken. Name the column directly.")
                )
            else:
                self._node(part, scope, ctes)

    def _has_field(self, arg: Tree, name: str, scope: Scope, ctes: Ctes) -> bool:
        if arg.WhichOneof("node") == "column_ref":
            return self._names.field(arg.column_ref, name, scope)
        if arg.WhichOneof("node") != "func_call":
            return False
        self._node(arg, scope, ctes)
        fields = policy.TABLE_FUNCTIONS.get(arg.func_call.funcname[-1].string.sval) or ()
        return len(fields) > 1 and (name == "*" or name in fields)

    def _operator(self, name: Iterable[Tree]) -> None:
        path = [part.string.sval for part in name]
        if len(path) > 1 or (path and path[0] not in policy.OPERATORS):
            self.findings.refuse(say("The operator %(name)s may not be used.", name=".".join(path)))

    def _type(self, type_name: Tree) -> None:
        path = [part.string.sval for part in type_name.names]
        lengths = [bound.a_const.ival.ival for bound in type_name.typmods]
        if (
            path[:-1] not in ([], ["pg_catalog"])
            or path[-1] not in policy.TYPES
            or type_name.setof
            or type_name.pct_type
            or any(part.WhichOneof("node") != "a_const" for part in type_name.typmods)
        ):
            self.findings.refuse(say("The type %(name)s may not be used.", name=".".join(path)))
        elif path[-1] == "bpchar" and max(lengths, default=0) > policy.MAX_WIDTH:
            # It is filled up with spaces to its length.
            self.findings.refuse(
                say("char has at most %(most)s characters here. Use text.", most=str(policy.MAX_WIDTH))
            )


def _combined(name: str, columns: tuple[Output, ...]) -> Output:
    if len(columns) == 1:
        return replace(columns[0], name=name)
    sources = tuple(dict.fromkeys(source for column in columns for source in column.sources))
    return Output(name, sum(column.weight for column in columns) or 1, sources)
