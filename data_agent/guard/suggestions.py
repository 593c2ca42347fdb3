"""What to write instead of what is refused: for people, and for models that are given one more try."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import reduce

from config.sentences import Sentence, joined, say
from data_agent.schema import Table

# What other databases call it.
_FOREIGN = {
    "year": "extract(year FROM ...)",
    "month": "extract(month FROM ...)",
    "day": "extract(day FROM ...)",
    "hour": "extract(hour FROM ...)",
    "quarter": "extract(quarter FROM ...)",
    "week": "extract(week FROM ...)",
    "weekday": "extract(isodow FROM ...)",
    "dayofweek": "extract(dow FROM ...)",
    "datepart": "extract(... FROM ...)",
    "date_format": "to_char(..., 'YYYY-MM')",
    "strftime": "to_char(..., 'YYYY-MM')",
    "format_date": "to_char(..., 'YYYY-MM')",
    "date_sub": "date - interval '1 day'",
    "dateadd": "date + interval '1 day'",
    "datediff": say("subtraction of dates"),
    "timestampdiff": say("subtraction, or age(...)"),
    "months_between": "age(...)",
    "add_months": "date + interval '1 month'",
    "last_day": "date_trunc('month', ...) + interval '1 month - 1 day'",
    "getdate": "now()",
    "curdate": "CURRENT_DATE",
    "sysdate": "now()",
    "clock_timestamp": "now()",
    "timeofday": "now()",
    "ifnull": "coalesce",
    "nvl": "coalesce",
    "isnull": say("IS NULL, or coalesce"),
    "if": "CASE WHEN ... THEN ... ELSE ... END",
    "iif": "CASE WHEN ... THEN ... ELSE ... END",
    "decode": "CASE",
    "group_concat": "string_agg(..., ', ')",
    "listagg": "string_agg(..., ', ')",
    "len": "length",
    "charindex": "strpos",
    "instr": "strpos",
    "locate": "strpos",
    "json_extract": say("the operator ->>"),
    "median": "percentile_cont(0.5) WITHIN GROUP (ORDER BY ...)",
    "approx_count_distinct": "count(DISTINCT ...)",
    "countif": "count(*) FILTER (WHERE ...)",
    "count_if": "count(*) FILTER (WHERE ...)",
    "sumif": "sum(...) FILTER (WHERE ...)",
    "safe_divide": "a / nullif(b, 0)",
    "pg_typeof": say("the schema, which names all types"),
}
_SYNTAX = (
    (re.compile(r"\bSELECT\s+(DISTINCT\s+)?TOP\s+\d", re.I), say("Write LIMIT at the end instead of TOP.")),
    (re.compile("`"), say("Write names plainly or in double quotes, not in backquotes.")),
    (re.compile(r"\bINTERVAL\s+\d+\s+\w+", re.I), say("Write interval '1 month', with quotes.")),
    (re.compile(r"\bLIMIT\s+\d+\s*,\s*\d+", re.I), say("Write LIMIT 10 OFFSET 20 instead of LIMIT 20, 10.")),
    (re.compile(r"\bQUALIFY\b", re.I), say("PostgreSQL has no QUALIFY: filter in an outer query.")),
    (re.compile(r"```"), say("Leave the ``` marks out.")),
)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three known names that are spelled like the name or contain it."""
    names = list(dict.fromkeys(known))
    low = name.lower()
    close = get_close_matches(low, names, n=3, cutoff=0.6)
    close += [each for each in names if len(low) > 2 and (low in each or (len(each) > 3 and each in low))]
    return list(dict.fromkeys(close))[:3]


def for_column(name: str, known: Iterable[str], schema: Mapping[str, Table]) -> Sentence:
    """Return sentences about an unknown column: names that are near, and tables that have it."""
    here = nearest(name, known)
    owners = [table.name for table in schema.values() if name.lower() in table.column_names]
    if not owners:
        return _near(here)
    if len(owners) == 1:
        return joined(_near(here), say("%(table)s has %(name)s.", table=owners[0], name=name))
    return joined(_near(here), say("%(tables)s have %(name)s.", tables=reduce(_and, owners), name=name))


def for_table(name: str, known: Iterable[str]) -> Sentence:
    """Return a sentence about a table that may not be read."""
    names = list(known)
    plain = name.rpartition(".")[2]
    near = nearest(f"analytics_{plain}", names) or nearest(plain, names)
    if near and near[0] != name:
        return say("Did you mean %(name)s?", name=near[0])
    return say("There are %(names)s.", names=", ".join(names))


def for_function(name: str, known: Iterable[str]) -> Sentence:
    """Return what to write instead of a function; empty where nothing is near."""
    if name in _FOREIGN:
        return say("Write %(this)s instead.", this=_FOREIGN[name])
    return _near(get_close_matches(name, list(known), n=3, cutoff=0.75))


def for_syntax(sql: str) -> Sentence:
    """Return what may be wrong with a text that PostgreSQL cannot read; empty if unknown."""
    return joined(*(advice for pattern, advice in _SYNTAX if pattern.search(sql)))


def _near(names: list[str]) -> Sentence:
    return say("Nearest: %(names)s.", names=", ".join(names)) if names else joined()


def _and(first: str, second: str) -> str:
    return say("%(first)s and %(second)s", first=first, second=second)
