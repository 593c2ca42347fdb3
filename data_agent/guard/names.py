"""Resolves what a column reference means.

Names must be resolved, because PostgreSQL takes `u.pg_column_size` for a call of that function where `u` has no such
column.
"""

from typing import Any

from config.sentences import joined, say
from data_agent.guard import suggestions
from data_agent.guard.findings import Findings
from data_agent.guard.scopes import Output, Relation, Scope

# A message of libpg_query's parse tree: the classes are generated at run time.
Tree = Any

# Each table has them, whatever else bears the same name.
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


class Names:
    """Resolves names and notes what they use."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def column(self, ref: Tree, scope: Scope) -> tuple[Output, ...]:
        """Return what a reference means, and note it: a column, several for a whole row, nothing if it is refused."""
        fields = ref.fields
        if fields[-1].WhichOneof("node") == "a_star":
            return self.star(ref, scope)
        self._strip_schema(ref, scope)
        path = [part.string.sval for part in fields]
        if path[-1] in _SYSTEM_COLUMNS:
            self._findings.refuse(say("The system column %(name)s may not be used.", name=path[-1]))
            return ()
        if len(path) == 1:
            return self._bare(path[0], scope)
        if len(path) == 2:
            return self._qualified(path[0], path[1], scope)
        self._findings.refuse(say("Write %(this)s instead of %(that)s.", this=".".join(path[-2:]), that=".".join(path)))
        return ()

    def star(self, ref: Tree, scope: Scope) -> tuple[Output, ...]:
        """Return the columns that `*`, `alias.*` or `public.table.*` stands for, and note them."""
        self._strip_schema(ref, scope)
        parts = [part.string.sval for part in ref.fields[:-1]]
        if len(parts) > 1:
            self._findings.refuse(
                say("Write %(this)s instead of %(that)s.", this=f"{parts[-1]}.*", that=f"{'.'.join(parts)}.*")
            )
            return ()
        if not parts:
            return self._all(scope.columns)
        relation = self._relation(parts[0], scope)
        return self._all(relation.columns) if relation else ()

    def field(self, ref: Tree, name: str, scope: Scope) -> bool:
        """Note the column of `(alias).name` or all of `(alias).*`; False where the alias may mean something else."""
        path = [part.string.sval for part in ref.fields]
        if len(path) != 1 or scope.column(path[0]):
            return False
        relation = self._relation(path[0], scope)
        if relation is None or not relation.row:
            return False
        if name == "*":
            return bool(self._all(relation.columns))
        return name not in _SYSTEM_COLUMNS and bool(self._qualified(path[0], name, scope))

    def _strip_schema(self, ref: Tree, scope: Scope) -> None:
        """Turn `public.analytics_users.name` into `analytics_users.name`, where that is the same."""
        if len(ref.fields) == 3 and ref.fields[0].string.sval == "public":
            table = ref.fields[1].string.sval
            relation = scope.relation(table)
            if relation and relation.table == table:
                del ref.fields[0]

    def _bare(self, name: str, scope: Scope) -> tuple[Output, ...]:
        found = scope.column(name)
        if not found:
            relation = scope.relation(name)
            if relation:
                return self._all(relation.columns)
            if not scope.uncertain:
                advice = suggestions.for_column(name, scope.names(), self._findings.schema)
                self._findings.refuse(joined(say("There is no column %(name)s here.", name=repr(name)), advice))
            return ()
        return self._found(found)

    def _qualified(self, alias: str, name: str, scope: Scope) -> tuple[Output, ...]:
        relation = self._relation(alias, scope)
        if relation is None:
            return ()
        found = relation.find(name)
        if not found:
            names = list(dict.fromkeys(column.name for column in relation.columns))
            advice = suggestions.for_column(name, names, self._findings.schema)
            self._findings.refuse(
                joined(
                    say("%(table)s has no column %(name)s.", table=alias, name=repr(name)),
                    advice,
                    say("It has %(names)s.", names=", ".join(names)),
                )
            )
            return ()
        return self._found(found)

    def _relation(self, alias: str, scope: Scope) -> Relation | None:
        relation = scope.relation(alias)
        if relation is None and not scope.uncertain:
            known = ", ".join(scope.relations)
            self._findings.refuse(
                joined(
                    say("There is no table or alias %(name)s here.", name=repr(alias)),
                    say("There are %(names)s.", names=known) if known else "",
                )
            )
        return relation

    def _found(self, found: list[Output]) -> tuple[Output, ...]:
        # Where a bare name may mean several columns, PostgreSQL decides; count the largest.
        largest = max(found, key=lambda column: column.weight)
        sources = tuple(dict.fromkeys(source for column in found for source in column.sources))
        merged = Output(largest.name, largest.weight, sources)
        self._findings.use(merged)
        return (merged,)

    def _all(self, columns: tuple[Output, ...]) -> tuple[Output, ...]:
        for column in columns:
            self._findings.use(column)
        return columns
