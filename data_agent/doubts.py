"""What a question speaks of and a model's query does not, and the other way round.

Small models copy an example, forget a condition or bring one along, and get no error for it. Nothing here says that a
query is wrong: a model is asked again, and the query that leaves the least doubt is taken. Each sentence says what
to write, because "wrong" alone makes a small model write the same again.
"""

import re
from collections.abc import Iterator

from config.sentences import say
from data_agent import measures, periods, properties, wording
from data_agent.samples import Known
from data_agent.schema import PRODUCT_SPECS, PURCHASES, USERS

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_YEAR = re.compile(r"(?:19|20)\d\d")
# 200 grams are 0.2 kilograms, 5 percent 0.05.
_SCALES = (1.0, 0.001, 1_000.0, 0.01, 100.0)
_REVENUE = re.compile(r"\b(?:revenue|turnover|sales|earn(?:ed|s)?|income)\b", re.IGNORECASE)
_OTHER_STATUS = re.compile(r"\b(?:refund|cancel|pending|status|all purchases)", re.IGNORECASE)
# What must stand in a query that is about it.
_ENTITIES = {
    "product": (("product_name", PRODUCT_SPECS.name), f"the products are {PRODUCT_SPECS.name}.name"),
    "customer": (("user_id", USERS.name), f"the customers are {USERS.name}"),
    "user": (("user_id", USERS.name), f"the customers are {USERS.name}"),
    "brand": (("brand",), f"{PRODUCT_SPECS.name}.brand"),
    "category": (("category",), f"{PRODUCT_SPECS.name}.category"),
    "country": (("country",), f"{USERS.name}.country"),
    "plan": (("plan",), f"{USERS.name}.plan"),
}
_EACH = re.compile(
    r"\b(?:per|each|every|by)\s+(?:(?:product|customer|user|subscription|single|the)\s+)*"
    r"(?P<what>category|brand|country|plan)\b",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\b(?:each|every|per|by|which|what)\s+(?:(?:calendar|single)\s+)?(?P<unit>year|quarter|month|week|day)s?\b|"
    r"\b(?P<adverb>yearly|quarterly|monthly|weekly|daily)\b",
    re.IGNORECASE,
)
_ADVERBS = {"yearly": "year", "quarterly": "quarter", "monthly": "month", "weekly": "week", "daily": "day"}
_SHARE = re.compile(r"\b(?:percent|percentage|share|proportion|fraction)\b|%", re.IGNORECASE)
_NEVER = re.compile(
    r"\b(?:never|without any|have no|has no|had no|not (?:a single|any|one|been|be|yet))\b", re.IGNORECASE
)
_DENIES = re.compile(r"\bnot\b|\bexcept\b|\bis null\b|<>|!=|=\s*0\b|<\s*1\b", re.IGNORECASE)


def about(question: str, sql: str, known: Known, said: str = "") -> tuple[str, ...]:
    """Return sentences, for a model, on what a query leaves out of its question, or has beyond it.

    `said` is all that the person said so far: what only an earlier question names is not beyond it.
    """
    if not question:
        return ()
    return (
        *_numbers(question, sql),
        *_values(question, sql, known),
        *_revenue(question, sql),
        *_entity(question, sql, known),
        *_purchases(said or question, question, sql, known),
        *_units(question, sql),
        *_kinds(question, sql),
        *_period(question, sql),
        *_properties(question, sql, known),
        *_pieces(question, sql, known),
        *_times(question, sql),
        *_share(question, sql),
        *_never(question, sql),
    )


def _numbers(question: str, sql: str) -> Iterator[str]:
    given = list(_read(sql, r"\d+(?:\.\d+)?"))
    for text in dict.fromkeys(_NUMBER.findall(question)):
        number = float(text.rstrip(",").replace(",", ""))
        if not any(abs(number * scale - other) < 1e-9 * max(1.0, other) for scale in _SCALES for other in given):
            year = _in_year(text, question, sql)
            what = text.rstrip(",")
            if year:
                yield say("The question speaks of %(what)s, the query does not: %(how)s.", what=what, how=year)
            else:
                yield say("The question speaks of %(what)s, the query does not.", what=what)


def _in_year(text: str, question: str, sql: str) -> str:
    """Return how to ask for a year, where the number is one and its column is clear."""
    if not _YEAR.fullmatch(text):
        return ""
    if re.search(r"\bsign|\bregist|\bjoin", question, re.IGNORECASE):
        column = "signed_up_at"
    elif re.search(r"\breleas|\blaunch|\bto market", question, re.IGNORECASE):
        column = "release_date"
    elif PURCHASES.name in sql:
        column = "purchased_at"
    else:
        return ""
    return f"extract(year FROM {column}) = {text}"


def _values(question: str, sql: str, known: Known) -> Iterator[str]:
    low = sql.casefold()
    for column, value in known.mentioned(question):
        if value.casefold() not in low and not _selects(low, column):
            yield say(
                "The question speaks of %(what)s, the query does not: %(how)s.", what=value, how=f"{column} = '{value}'"
            )


def _selects(sql: str, column: str) -> bool:
    """Whether the column is there without one value: "for each plan" speaks of all of them."""
    return re.search(rf"\b{column.rpartition('.')[2]}\b", sql) is not None


def _revenue(question: str, sql: str) -> Iterator[str]:
    if _REVENUE.search(question) and not _OTHER_STATUS.search(question) and "status" not in sql.casefold():
        yield say("Revenue counts completed purchases only: status = 'completed'.")


def _entity(question: str, sql: str, known: Known) -> Iterator[str]:
    asked = wording.asked_for(question, known)
    if asked is None:
        return
    words, where = _ENTITIES[_singular(asked)]
    if not any(_selects(sql.casefold(), word) for word in words):
        yield say("The question asks for %(what)s, the query does not: %(how)s.", what=asked, how=where)


def _singular(word: str) -> str:
    return re.sub(r"ies$", "y", word).removesuffix("s")


def _purchases(said: str, question: str, sql: str, known: Known) -> Iterator[str]:
    asked = wording.asked_for(question, known)
    if asked is None or PURCHASES.name not in sql.casefold() or wording.speaks_of_purchases(said, known):
        return
    own = USERS if asked.startswith(("customer", "user", "countr", "plan")) else PRODUCT_SPECS
    yield say(
        "The question does not speak of purchases: read %(table)s alone, without a condition on status.",
        table=own.name,
    )


def _units(question: str, sql: str) -> Iterator[str]:
    for found in _UNIT.finditer(question):
        unit = (found["unit"] or _ADVERBS[found["adverb"].lower()]).lower()
        # A year is one by its number; the third month is that of which year?
        number = r"|extract\s*\(\s*'?year'?\s+from|date_part" if unit == "year" else ""
        if not re.search(rf"date_trunc\s*\(\s*'{unit}|to_char{number}", sql, re.IGNORECASE):
            other = "signed_up_at" if PURCHASES.name not in sql and USERS.name in sql else "purchased_at"
            column = "release_date" if PURCHASES.name not in sql and PRODUCT_SPECS.name in sql else other
            yield say(
                "The question speaks of each %(unit)s: one column, date_trunc('%(unit)s', %(column)s)::date.",
                unit=unit,
                column=column,
            )


def _kinds(question: str, sql: str) -> Iterator[str]:
    """Say which kind the question wants one row for: "per product category"."""
    for what in dict.fromkeys(found["what"].lower() for found in _EACH.finditer(question)):
        (column, *_), how = _ENTITIES[_singular(what)]
        if not _selects(sql.casefold(), column):
            yield say("The question asks for each %(what)s, the query does not: %(how)s.", what=what, how=how)


def _period(question: str, sql: str) -> Iterator[str]:
    period = periods.spoken_of(question)
    if period is None or re.search(r"quarter|month", sql, re.IGNORECASE):
        return
    first, end = (day.isoformat() for day in period)
    if first not in sql:
        yield say("The question speaks of the time from %(first)s to before %(end)s.", first=first, end=end)


def _properties(question: str, sql: str, known: Known) -> Iterator[str]:
    for what, key, how in properties.spoken_of(question, known):
        if key not in sql:
            yield say("The question speaks of %(what)s, the query does not: %(how)s.", what=what, how=how)


def _pieces(question: str, sql: str, known: Known) -> Iterator[str]:
    if measures.asks_for_pieces(question, known) and PURCHASES.name in sql and "quantity" not in sql:
        yield say("The question asks for pieces: sum(quantity).")


def _times(question: str, sql: str) -> Iterator[str]:
    for number in sorted(wording.times(question)):
        if re.search(rf"\bquantity\s*[<>=]+\s*{number}\b", sql, re.IGNORECASE):
            yield say(
                "%(number)s times is a number of purchases, not their quantity: a sub-query with GROUP BY and HAVING "
                "count(*) compared with %(number)s, and outside of it what is asked for.",
                number=str(number),
            )


def _share(question: str, sql: str) -> Iterator[str]:
    if _SHARE.search(question) and "/" not in sql:
        yield say(
            "The question asks for a percentage: round(100.0 * count(*) FILTER (WHERE condition) / count(*), 1), and "
            "the condition nowhere else."
        )


def _never(question: str, sql: str) -> Iterator[str]:
    if _NEVER.search(question) and not _DENIES.search(sql):
        yield say(
            "The question asks for what there is none of: NOT EXISTS (SELECT 1 FROM the other table WHERE the key is "
            "the same)."
        )


def _read(text: str, pattern: str) -> Iterator[float]:
    for found in re.findall(pattern, text):
        yield float(found)
