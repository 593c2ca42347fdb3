"""What is in the tables, for people and for models: sample rows, and the values of columns that have few.

All is read as the agent's role and through the guard, like every query, so nobody sees more here than in a result.
"""

import difflib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from config.sentences import say
from data_agent import execution, guard
from data_agent.audit import Person
from data_agent.errors import NotFound, QueryFailed
from data_agent.execution import Result
from data_agent.schema import PRODUCT_SPECS, PURCHASES, SCHEMA, USERS

log = structlog.get_logger(__name__)

SAMPLE_ROWS = 5
# How long what was read is taken for true.
FRESH_SECONDS = 600
# A column with more values is not listed; its values are only looked up.
FEW = 20
MOST = 1_000
# Values that are looked for in a question, by name of the column.
_LOOKED_UP = (
    (USERS.name, "country"),
    (USERS.name, "plan"),
    (PURCHASES.name, "status"),
    (PRODUCT_SPECS.name, "category"),
    (PRODUCT_SPECS.name, "brand"),
    (PRODUCT_SPECS.name, "name"),
)
# Those that stand for their kind; what a plan or a status is called says more than that it is one.
_KINDS = {
    f"{USERS.name}.country": "country",
    f"{PRODUCT_SPECS.name}.category": "category",
    f"{PRODUCT_SPECS.name}.brand": "brand",
    f"{PRODUCT_SPECS.name}.name": "product",
}
# A property with more values, or longer ones, is only named.
_FEW_TEXTS = 6
_SHORT = 60
_SPECS = (
    "SELECT s.category, k.key, min(jsonb_typeof(k.value)) AS kind, max(jsonb_typeof(k.value)) AS other, "
    f"CASE WHEN count(DISTINCT k.value) <= {_FEW_TEXTS} AND max(length(k.value #>> '{{}}')) <= {_SHORT} "
    "THEN jsonb_agg(DISTINCT k.value) END AS texts "
    "FROM analytics_product_specs s, jsonb_each(s.specs) AS k WHERE jsonb_typeof(k.value) <> 'null' "
    f"GROUP BY s.category, k.key ORDER BY s.category, k.key LIMIT {MOST}"
)
_SPAN = "SELECT min(purchased_at)::date AS first, max(purchased_at)::date AS last FROM analytics_purchases LIMIT 1"


@dataclass(frozen=True, slots=True)
class Property:
    """A key of `specs`: "number", "boolean", "string" or another kind of JSON; its texts where they are few.

    `kind` is empty where the values are of several kinds.
    """

    key: str
    kind: str = ""
    texts: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = "true or false" if self.kind == "boolean" else ", ".join(self.texts)
        return f"{self.key} ({listed})" if listed else self.key


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables hold: values by "table.column", the keys of `specs` by category, first and last day."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    specs: Mapping[str, tuple[Property, ...]] = field(default_factory=dict)
    first_day: str = ""
    last_day: str = ""

    def of_column(self, name: str) -> tuple[str, ...]:
        """Return the values of the columns of that name; none where they are many, or not known."""
        if name == "product_name":
            return self.values.get(f"{PRODUCT_SPECS.name}.name", ())
        found = [values for column, values in self.values.items() if column.endswith(f".{name}")]
        # Customers have names too, which are not read here.
        return found[0] if len(found) == 1 and name != "name" else ()

    def column_of(self, value: str) -> tuple[str, str] | None:
        """Return the one column, as "table.column", that has a value, and the value as the data has it."""
        found = [
            (column, meant) for column, values in self.values.items() if (meant := nearest(value, values)) is not None
        ]
        return found[0] if len(found) == 1 else None

    def mentioned(self, question: str, at_most: int = 6) -> list[tuple[str, str]]:
        """Return the values, each with its column, that a question seems to speak of."""
        spoken = set(words(question))
        found: list[tuple[str, str]] = []
        for column, values in self.values.items():
            for value in values:
                own = set(words(value))
                if own and own <= spoken:
                    found.append((column, value))
        return found[:at_most]

    def in_general(self, question: str) -> str:
        """Return a question with the kind in place of what it names: "revenue in country" for "revenue in Japan"."""
        for column, value in self.mentioned(question):
            kind = _KINDS.get(column)
            if kind is not None:
                pattern = rf"\b{re.escape(value.removesuffix('s'))}s?\b"
                question = re.sub(pattern, kind, question, flags=re.IGNORECASE)
        return question


async def rows(person: Person, table: str) -> Result:
    """Return a few rows of a table as this person may see them; raises NotFound for another table."""
    if table not in SCHEMA:
        raise NotFound(say("There is no such table here."))
    names = ", ".join(SCHEMA[table].column_names)
    return await _read(f"SELECT {names} FROM {table} ORDER BY id LIMIT {SAMPLE_ROWS}", person.personal)


_known: tuple[float, Known] | None = None


async def known() -> Known:
    """Return what the tables hold, read at most every ten minutes. Raises Unavailable without the database."""
    global _known
    if _known is None or _known[0] < time.monotonic() - FRESH_SECONDS:
        found = await _read_all()
        if not found.first_day:
            # The tables are still to be filled, which may be done in a moment.
            return found
        _known = (time.monotonic(), found)
    return _known[1]


def forget() -> None:
    """Read anew when it is asked for next: the tables were filled."""
    global _known
    _known = None


async def _read_all() -> Known:
    values: dict[str, tuple[str, ...]] = {}
    for table, column in _LOOKED_UP:
        text = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} LIMIT {MOST}"
        found = [str(row[0]) for row in (await _read(text)).rows]
        if len(found) < MOST:
            values[f"{table}.{column}"] = tuple(found)
    specs: dict[str, tuple[Property, ...]] = {}
    for category, key, kind, other, texts in (await _read(_SPECS)).rows:
        few = tuple(sorted(json.loads(texts))) if texts and kind == other == "string" else ()
        own = Property(str(key), str(kind) if kind == other else "", few)
        specs[str(category)] = (*specs.get(str(category), ()), own)
    span = (await _read(_SPAN)).rows
    first, last = span[0] if span else (None, None)
    return Known(values, specs, first or "", last or "")


async def _read(sql: str, personal: bool = False) -> Result:
    verdict = guard.check(sql, personal=personal)
    try:
        return await execution.run(verdict.sql or sql, personal=personal)
    except QueryFailed as error:
        log.warning("the tables could not be looked into", error=str(error))
        return Result((), (), False, 0, 0)


def nearest(value: str, values: tuple[str, ...]) -> str | None:
    """Return the one value that a text means: another case, singular for plural, a slip of the pen; None otherwise."""
    alias = _ALIASES.get(value.casefold().replace(".", ""))
    if alias in values:
        return alias
    folded = {each.casefold(): each for each in values}
    key = value.casefold().strip()
    for guess in (key, f"{key}s", key.removesuffix("s"), key.removesuffix("es")):
        if guess in folded:
            return folded[guess]
    close = difflib.get_close_matches(key, list(folded), n=2, cutoff=0.86)
    return folded[close[0]] if len(close) == 1 else None


_ALIASES = {
    "us": "United States",
    "usa": "United States",
    "america": "United States",
    "united states of america": "United States",
    "uk": "United Kingdom",
    "great britain": "United Kingdom",
    "britain": "United Kingdom",
    "canceled": "cancelled",
    "complete": "completed",
    "refund": "refunded",
}


def words(text: str) -> list[str]:
    """Return the words of a text as they are compared: small, and without the s of a plural."""
    return [word.removesuffix("s") for word in re.findall(r"[^\W_]+", text.casefold())]
