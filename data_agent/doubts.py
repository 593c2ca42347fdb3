"""What a question speaks of and a model's query does not: numbers, values of the data, completed purchases.

Small models copy an example, or forget a condition, and get no error for it. Nothing here says that a query is wrong:
a model is asked once more, and its second query is taken only where that speaks of everything.
"""

import re
from collections.abc import Iterator

from data_agent.samples import Known

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
# 200 grams are 0.2 kilograms, 5 percent 0.05.
_SCALES = (1.0, 0.001, 1_000.0, 0.01, 100.0)
_REVENUE = re.compile(r"\b(?:revenue|turnover|sales|earn(?:ed|s)?|income)\b", re.IGNORECASE)
_OTHER_STATUS = re.compile(r"\b(?:refund|cancel|pending|status|all purchases)", re.IGNORECASE)


def about(question: str, sql: str, known: Known) -> tuple[str, ...]:
    """Return sentences, for a model, on what a query leaves out of its question."""
    return (*_numbers(question, sql), *_values(question, sql, known), *_revenue(question, sql))


def _numbers(question: str, sql: str) -> Iterator[str]:
    given = list(_read(sql, r"\d+(?:\.\d+)?"))
    for text in dict.fromkeys(_NUMBER.findall(question)):
        number = float(text.rstrip(",").replace(",", ""))
        if not any(abs(number * scale - other) < 1e-9 * max(1.0, other) for scale in _SCALES for other in given):
            yield f"The question speaks of {text.rstrip(',')}, the query does not."


def _values(question: str, sql: str, known: Known) -> Iterator[str]:
    low = sql.casefold()
    for column, value in known.mentioned(question):
        if value.casefold() not in low and not _selects(low, column):
            yield f"The question speaks of {value}, the query does not: {column} = '{value}'."


def _selects(sql: str, column: str) -> bool:
    """Whether the column is there without one value: "for each plan" speaks of all of them."""
    return re.search(rf"\b{column.rpartition('.')[2]}\b", sql) is not None


def _revenue(question: str, sql: str) -> Iterator[str]:
    if _REVENUE.search(question) and not _OTHER_STATUS.search(question) and "status" not in sql.casefold():
        yield "Revenue counts completed purchases only: status = 'completed'."


def _read(text: str, pattern: str) -> Iterator[float]:
    for found in re.findall(pattern, text):
        yield float(found)
