"""What an inspection finds: what a statement reads and uses, how large it becomes, and the reasons against it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.sentences import say
from data_agent.guard import policy
from data_agent.guard.scopes import Output
from data_agent.schema import Table


@dataclass(slots=True)
class Findings:
    """Collected while a statement is inspected; without a reason it is fine."""

    schema: Mapping[str, Table]
    # Whether the person may see personal data; for others some statements could not run.
    personal: bool = True
    reasons: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    # How many nodes the statement has, once all that it names is put in place.
    nodes: int = 0
    relations: int = 0
    # By how much functions may lengthen texts, all of them together.
    growth: int = 1
    # How many rows all series side by side have, as far as the text says it.
    series: float = 1.0

    def refuse(self, reason: str) -> None:
        """Note a reason, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def refuse_kind(self, kind: str) -> None:
        """Refuse a kind of node."""
        self.refuse(say("This kind of SQL is not allowed (%(kind)s). Only plain reading is.", kind=kind))

    def use(self, column: Output) -> None:
        """Note that a column is used."""
        self.count(column.weight)
        self.columns.update(column.sources)

    def count(self, nodes: int) -> None:
        """Add nodes; refuse the statement where it becomes too large."""
        if self.nodes <= policy.MAX_EXPANDED_NODES < self.nodes + nodes:
            self.refuse(say("The query becomes too large once its sub-queries are put in place. Simplify it."))
        # Bounded, so that the numbers stay small whatever the statement does.
        self.nodes = min(self.nodes + nodes, 2 * policy.MAX_EXPANDED_NODES)

    def count_tables(self, tables: int) -> None:
        """Add tables, each as often as it is named, also through names in WITH."""
        if self.relations <= policy.MAX_RELATIONS < self.relations + tables:
            self.refuse(say("The query reads tables more than %(most)s times. Simplify it.", most=policy.MAX_RELATIONS))
        self.relations = min(self.relations + tables, 2 * policy.MAX_RELATIONS)

    def grow(self, factor: int) -> None:
        """Multiply by how much a function may lengthen a text."""
        if self.growth <= policy.MAX_GROWTH < self.growth * factor:
            self.refuse(say("The query could make very long texts out of short ones. Repeat and replace less."))
        self.growth = min(self.growth * factor, 2 * policy.MAX_GROWTH)

    def add_series(self, rows: float) -> None:
        """Note a series of that many rows."""
        self.series *= max(rows, 1.0)
        if rows > policy.MAX_SERIES:
            self.refuse(
                say("generate_series would make more than %(most)s rows. Take a longer step.", most=policy.MAX_SERIES)
            )
        elif self.series > policy.MAX_SERIES_TOGETHER:
            self.refuse(say("Several generate_series would make too many combinations. Take shorter ones."))
