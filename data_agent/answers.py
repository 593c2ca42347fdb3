"""Puts results into words: the model's, with each number traced to its result, or else a plain sentence.

A number that stands in no result, such as a difference that the model worked out, is marked as that. Where no number
can be traced, the words are an invention, and the plain sentence stands in for them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal
from uuid import UUID

import structlog
from django.utils.translation import gettext, ngettext

from config.observability import correlation
from data_agent import prompts
from data_agent.execution import ResultColumn
from data_agent.prompts import Asked, Given
from llm import registry
from llm.errors import LLMError
from llm.types import Request

log = structlog.get_logger(__name__)

MAX_TOKENS = 160

# Of a number in a sentence; the table has them all.
_DECIMALS = 2

Row = Sequence[str | None]
# A day or a moment is one thing. Digits that hang on letters are part of a name (masked-17, A54).
_DATE = r"\d{4}-\d{2}(?:-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[+-]\d{2}(?::\d{2})?)?)?)?"
_FIGURE = re.compile(rf"(?<!\w)(?<![^\W\d_]-)(?:(?P<date>{_DATE})(?!\d)|\d[\d,]*(?:\.\d+)?)")
_MONTHS = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of an answer: its place in the text, and the step and row (from 0) it was found in.

    Without a step it is a number of the question, or the count of a result's rows; or, if it was not `found`, one that
    stands in no result.
    """

    start: int
    end: int
    step: UUID | None = None
    row: int | None = None
    found: bool = True


@dataclass(frozen=True, slots=True)
class _Figure:
    """A number or a date in a text, which has the `value` of its digits or, as a date, none."""

    start: int
    end: int
    text: str
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in words: the model's, or made by rule; and where its numbers are from."""

    text: str
    source: Literal["model", "rule"]
    numbers: tuple[Number, ...] = ()


async def answer(asked: Asked, given: Sequence[Given]) -> Answer:
    """Return the answer from the results of a question's steps. Never raises because of a model."""
    last = given[-1]
    if not last.rows:
        return by_rule(given)
    try:
        completion = await registry.chain("sql").complete(
            Request(prompts.answer(asked, given), max_tokens=MAX_TOKENS, temperature=0, trace_id=correlation.trace_id())
        )
    except LLMError as error:
        log.warning("no answer from the model", error=str(error))
        return by_rule(given)
    if completion.finish == "length":
        return by_rule(given)
    return in_words(completion.text, asked, given) or by_rule(given)


def in_words(text: str, asked: Asked, given: Sequence[Given]) -> Answer | None:
    """Return a model's text as the answer.

    None where it says nothing of the results, or none of its numbers can be traced to a row.
    """
    text = text.strip()
    numbers = trace(text, str(asked), given)
    invented = any(not number.found for number in numbers) and not any(number.step for number in numbers)
    return Answer(text, "model", numbers) if _speaks_of(given, text, numbers) and not invented else None


def _speaks_of(given: Sequence[Given], text: str, numbers: Sequence[Number]) -> bool:
    """Whether a text has a number or one of the texts of the results: small models repeat what they were told to do.

    What is true or false may be said in any words.
    """
    if all(column.type == "boolean" for each in given for column in each.columns):
        return bool(text)
    labels = (label for each in given for row in each.rows for label in _labels(row))
    return any(number.found for number in numbers) or any(_mentions(text, label) for label in labels)


def by_rule(given: Sequence[Given]) -> Answer:
    """Return a plain sentence about the last result."""
    last = given[-1]
    text = sentence(last.columns, last.rows, more=last.more)
    # What is not found here was shortened.
    return Answer(text, "rule", tuple(number for number in trace(text, "", given) if number.found))


def sentence(columns: Sequence[ResultColumn], rows: Sequence[Row], *, more: bool) -> str:
    """Return a plain sentence about a result, in the active language: it is for the person who asked."""
    if not rows:
        return gettext("No rows match.")
    first = ", ".join(f"{column.name} {_text(cell, column)}" for column, cell in zip(columns, rows[0], strict=True))
    if len(rows) == 1 and not more:
        return f"{first}."
    count = len(rows)
    if more:
        pattern = ngettext(
            "%(count)s row or more; the first: %(row)s.", "%(count)s rows or more; the first: %(row)s.", count
        )
    else:
        pattern = ngettext("%(count)s row; the first: %(row)s.", "%(count)s rows; the first: %(row)s.", count)
    return pattern % {"count": count, "row": first}


def trace(text: str, question: str, given: Sequence[Given]) -> tuple[Number, ...]:
    """Return where each number and date of a text is from: where it stands in a result, exactly or rounded.

    Numbers of the question, and the counts of rows, are free. Where a result has several rows, a sentence with a number
    must also name the row it is from, by one of its texts: small models take the number of one country for another.
    Digits in a name that stands in a result belong to the name.
    """
    asked = [figure.value for figure in _figures(question)]
    free = {value for value in asked if value is not None} | {Decimal(len(each.rows)) for each in given}
    names = _names(text, given)
    found: list[Number] = []
    for start, part in _sentences(text):
        # Newest first: that is what an answer mostly speaks of.
        sources = [(each, _meant(part, each.rows)) for each in reversed(given)]
        for figure in _figures(part):
            begin, end = start + figure.start, start + figure.end
            if any(first <= begin and end <= last for first, last in names):
                continue
            source = _source(figure, sources, with_days=_MONTHS.search(part) is not None)
            known = source is not None or any(_same(figure.value, other) for other in free) or figure.text in question
            step, row = source or (None, None)
            found.append(Number(begin, end, step, row, known))
    return tuple(found)


def _source(figure: _Figure, sources: list[tuple[Given, list[int]]], *, with_days: bool) -> tuple[UUID, int] | None:
    for each, places in sources:
        for place in places:
            if any(_stands_in(figure, cell, with_days) for cell in each.rows[place] if cell):
                return each.step, place
    return None


def _stands_in(figure: _Figure, cell: str, with_days: bool) -> bool:
    for other in _figures(cell):
        if figure.value is None:
            # 2025-03 is said of 2025-03-01 too.
            if other.value is None and other.text.replace("T", " ").startswith(figure.text.replace("T", " ")):
                return True
        elif other.value is not None:
            if _same(figure.value, other.value):
                return True
        elif figure.value == int(other.text[:4]) or (with_days and figure.text.lstrip("0") == _day(other.text)):
            return True
    return False


def _day(date: str) -> str:
    return date[8:10].lstrip("0")


def _names(text: str, given: Sequence[Given]) -> list[tuple[int, int]]:
    """Return the places at which a text names something of the results that has digits in its name."""
    low = text.casefold()
    names = {label.casefold() for each in given for row in each.rows for label in _labels(row) if _FIGURE.search(label)}
    if len(low) != len(text):
        return []
    return [(found.start(), found.end()) for name in names for found in re.finditer(re.escape(name), low)]


def _meant(part: str, rows: Sequence[Row]) -> list[int]:
    """Return the places of the rows that a sentence speaks of: those it names, or all where rows have no names."""
    named = len(rows) > 1 and any(_labels(row) for row in rows)
    if not named:
        return list(range(len(rows)))
    return [place for place, row in enumerate(rows) if any(_mentions(part, label) for label in _labels(row))]


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    place = 0
    for end in re.finditer(r"(?<=[.;!?])\s+|\n", text):
        yield place, text[place : end.start()]
        place = end.end()
    yield place, text[place:]


def _labels(row: Row) -> list[str]:
    return [cell for cell in row if cell and any(character.isalpha() for character in cell)]


def _mentions(text: str, label: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.IGNORECASE) is not None


def _figures(text: str) -> Iterator[_Figure]:
    for found in _FIGURE.finditer(text):
        # A comma behind a number is the sentence's.
        written = found.group().rstrip(",")
        try:
            value = None if found["date"] else Decimal(written.replace(",", ""))
        except InvalidOperation:
            continue
        yield _Figure(found.start(), found.start() + len(written), written, value)


def _same(written: Decimal | None, given: Decimal) -> bool:
    if written is None:
        return False
    places = -int(written.as_tuple().exponent)
    return written == given or written == round(given, places)


def _text(cell: str | None, column: ResultColumn) -> str:
    if cell is None:
        return gettext("empty")
    if column.numeric and len(cell.partition(".")[2]) > _DECIMALS:
        try:
            value = Decimal(cell)
        except InvalidOperation:
            return cell
        # Cents where there are whole ones; of a smaller number what there is of it.
        return f"{value:.{_DECIMALS}f}" if abs(value) >= 1 else f"{value:.{_DECIMALS}g}"
    return cell if len(cell) <= 80 else f"{cell[:79]}…"
