"""What names mean at one place of a statement, by PostgreSQL's own rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Output:
    """A column that a relation offers: how much is behind it, and the real columns ("table.column") if it is them."""

    name: str
    weight: int = 1
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that can stand in FROM."""

    columns: tuple[Output, ...]
    # How many tables are behind it, once everything that it names is put in place.
    tables: int = 0
    # The real table, where it goes by its own name.
    table: str = ""
    # Whether its alias alone means a row. That of a function may mean a plain value, and `(g).f` a call of f then.
    row: bool = True

    def find(self, name: str) -> list[Output]:
        """Return the columns of that name."""
        return [column for column in self.columns if column.name == name]

    def renamed(self, names: Iterable[str]) -> "Relation":
        """Apply a list of column names, as in `t(a, b)`, which may be shorter than the columns."""
        given = list(names)
        columns = [replace(column, name=new) for column, new in zip(self.columns, given, strict=False)]
        return Relation((*columns, *self.columns[len(given) :]), self.tables, row=self.row)


@dataclass(slots=True)
class Scope:
    """What names mean at one place of the statement: relations by alias, and the columns that bare names may mean."""

    parent: "Scope | None" = None
    relations: dict[str, Relation] = field(default_factory=dict)
    columns: tuple[Output, ...] = ()
    # Where a name is not known because of an earlier mistake, more complaints would only confuse.
    broken: bool = False

    def with_part(self, part: "Scope") -> "Scope":
        """Return this scope with what an item of FROM adds to it."""
        return Scope(
            self.parent,
            {**self.relations, **part.relations},
            self.columns + part.columns,
            self.broken or part.broken,
        )

    def relation(self, alias: str) -> Relation | None:
        """Return the relation of that alias, the innermost first."""
        scope: Scope | None = self
        while scope:
            if alias in scope.relations:
                return scope.relations[alias]
            scope = scope.parent
        return None

    def column(self, name: str) -> list[Output]:
        """Return the columns that the bare name may mean, the innermost scope first."""
        scope: Scope | None = self
        while scope:
            found = [column for column in scope.columns if column.name == name]
            if found:
                return found
            scope = scope.parent
        return []

    def names(self) -> list[str]:
        """Return the names of all columns that can be named here."""
        found: list[str] = []
        scope: Scope | None = self
        while scope:
            found += [column.name for column in scope.columns]
            scope = scope.parent
        return list(dict.fromkeys(found))

    @property
    def uncertain(self) -> bool:
        """Whether this scope or one around it is broken."""
        return self.broken or (self.parent is not None and self.parent.uncertain)


Ctes = Mapping[str, Relation]
