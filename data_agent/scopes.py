"""What names mean at one place of a statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Output:
    """A column that a relation offers: how much is behind it, and the real column if it is one ("table.column")."""

    name: str
    weight: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that can stand in FROM."""

    columns: tuple[Output, ...]

    def find(self, name: str) -> list[Output]:
        """Return the columns of that name."""
        return [column for column in self.columns if column.name == name]


@dataclass(slots=True)
class Scope:
    """What names mean at one place of the statement."""

    parent: "Scope | None" = None
    relations: dict[str, Relation] = field(default_factory=dict)
    # Names that the SELECT list gives; ORDER BY and GROUP BY may use them.
    outputs: tuple[Output, ...] = ()
    # Where a name is not known because of an earlier mistake, more complaints would only confuse.
    broken: bool = False

    def relation(self, alias: str) -> Relation | None:
        """Return the relation of that alias, the innermost first."""
        found = self.relations.get(alias)
        return found or (self.parent.relation(alias) if self.parent else None)

    def column(self, name: str) -> list[Output]:
        """Return the columns that the bare name may mean, the innermost scope first."""
        found = [column for relation in self.relations.values() for column in relation.find(name)]
        found += [column for column in self.outputs if column.name == name]
        return found or (self.parent.column(name) if self.parent else [])

    @property
    def uncertain(self) -> bool:
        """Whether this scope or one around it is broken."""
        return self.broken or (self.parent is not None and self.parent.uncertain)


Ctes = Mapping[str, Relation]
