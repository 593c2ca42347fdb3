"""Puts results into words: the model's, if each of its numbers can be traced to a result, or else a plain sentence."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal
from uuid import UUID

import structlog

from config import correlation
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
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number of an answer: its place in the text, and the step and row (from 0) it was found in.

    Without a step it is a number of the question, or the count of a result's rows.
    """

    start: int
    end: int
    step: UUID | None = None
    row: int | None = None


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
    """Return a model's text as the answer if all its numbers can be traced; None otherwise."""
    text = text.strip()
    numbers = trace(text, str(asked), given) if text else None
    return None if numbers is None else Answer(text, "model", numbers)


def by_rule(given: Sequence[Given]) -> Answer:
    """Return a plain sentence about the last result."""
    last = given[-1]
    text = sentence(last.columns, last.rows, more=last.more)
    return Answer(text, "rule", trace(text, "", given) or ())


def sentence(columns: Sequence[ResultColumn], rows: Sequence[Row], *, more: bool) -> str:
    """Return a plain sentence about a result."""
    if not rows:
        return "No rows match."
    first = ", ".join(f"{column.name} {_text(cell, column)}" for column, cell in zip(columns, rows[0], strict=True))
    if len(rows) == 1 and not more:
        return f"{first}."
    return f"{len(rows)} rows{' or more' if more else ''}; the first: {first}."


def trace(text: str, question: str, given: Sequence[Given]) -> tuple[Number, ...] | None:
    """Return where each number of a text is from; None where one stands in no result, exactly or rounded.

    Numbers of the question, and the counts of rows, are free. Where a result has several rows, a sentence with a number
    must also name the row it is from, by one of its texts: small models take the number of one country for another.
    """
    free = {value for _, _, value in _numbers(question)} | {Decimal(len(each.rows)) for each in given}
    found: list[Number] = []
    for start, part in _sentences(text):
        # Newest first: that is what an answer mostly speaks of.
        sources = [(each, _meant(part, each.rows)) for each in reversed(given)]
        for begin, end, value in _numbers(part):
            source = _source(value, sources)
            if source is None and not any(_same(value, other) for other in free):
                return None
            step, row = source or (None, None)
            found.append(Number(start + begin, start + end, step, row))
    return tuple(found)


def _source(value: Decimal, sources: list[tuple[Given, list[int]]]) -> tuple[UUID, int] | None:
    for each, places in sources:
        for place in places:
            cells = (cell for cell in each.rows[place] if cell)
            if any(_same(value, other) for cell in cells for _, _, other in _numbers(cell)):
                return each.step, place
    return None


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


def _numbers(text: str) -> Iterator[tuple[int, int, Decimal]]:
    for found in _NUMBER.finditer(text):
        # A comma behind a number is the sentence's.
        digits = found.group().rstrip(",")
        try:
            yield found.start(), found.start() + len(digits), Decimal(digits.replace(",", ""))
        except InvalidOperation:
            continue


def _same(written: Decimal, given: Decimal) -> bool:
    places = -int(written.as_tuple().exponent)
    return written == given or written == round(given, places)


def _text(cell: str | None, column: ResultColumn) -> str:
    if cell is None:
        return "empty"
    if column.numeric and len(cell.partition(".")[2]) > _DECIMALS:
        try:
            value = Decimal(cell)
        except InvalidOperation:
            return cell
        # Cents where there are whole ones; of a smaller number what there is of it.
        return f"{value:.{_DECIMALS}f}" if abs(value) >= 1 else f"{value:.{_DECIMALS}g}"
    return cell if len(cell) <= 80 else f"{cell[:79]}…"
