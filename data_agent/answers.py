"""Puts a result into words: the model's, if its numbers stand in the result, or else a plain sentence."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

import structlog

from data_agent import prompts
from data_agent.execution import ResultColumn
from llm import registry
from llm.errors import LLMError
from llm.types import Request

log = structlog.get_logger(__name__)

MAX_TOKENS = 160

Row = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in words: the model's, or made by rule."""

    text: str
    source: Literal["model", "rule"]


async def answer(question: str, columns: Sequence[ResultColumn], rows: Sequence[Row], *, more: bool) -> Answer:
    """Return the answer; `more` says that there are or may be rows beyond these. Never raises because of a model."""
    by_rule = Answer(sentence(columns, rows, more=more), "rule")
    if not rows:
        return by_rule
    messages = prompts.answer(question, columns, rows, more=more)
    try:
        completion = await registry.chain("sql").complete(Request(messages, max_tokens=MAX_TOKENS, temperature=0))
    except LLMError as error:
        log.warning("no answer from the model", error=str(error))
        return by_rule
    text = completion.text.strip()
    if not text or completion.finish == "length" or not rests_on(text, question, rows):
        return by_rule
    return Answer(text, "model")


def sentence(columns: Sequence[ResultColumn], rows: Sequence[Row], *, more: bool) -> str:
    """Return a plain sentence about a result."""
    if not rows:
        return "No rows match."
    first = ", ".join(f"{column.name} {_text(cell)}" for column, cell in zip(columns, rows[0], strict=True))
    if len(rows) == 1 and not more:
        return f"{first}."
    return f"{len(rows)} rows{' or more' if more else ''}; the first: {first}."


def rests_on(text: str, question: str, rows: Sequence[Row]) -> bool:
    """Whether every number of a text stands in the rows, exactly or rounded; numbers of the question are free.

    Where there are several rows, a sentence with a number must also name the row it is from, by one of its texts: small
    models take the number of one country for another.
    """
    free = [question, str(len(rows))]
    named = len(rows) > 1 and any(_labels(row) for row in rows)
    for part in re.split(r"(?<=[.;!?])\s+|\n", text):
        meant = [row for row in rows if any(_mentions(part, label) for label in _labels(row))] if named else rows
        given = set(_numbers([*free, *(cell for row in meant for cell in row if cell)]))
        if not all(any(_same(number, other) for other in given) for number in _numbers([part])):
            return False
    return True


def _labels(row: Row) -> list[str]:
    return [cell for cell in row if cell and any(character.isalpha() for character in cell)]


def _mentions(text: str, label: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text, re.IGNORECASE) is not None


def _numbers(texts: Iterable[str]) -> Iterable[Decimal]:
    for text in texts:
        for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text):
            try:
                yield Decimal(found.replace(",", ""))
            except InvalidOperation:
                continue


def _same(written: Decimal, given: Decimal) -> bool:
    places = -int(written.as_tuple().exponent)
    return written == given or written == round(given, places)


def _text(cell: str | None) -> str:
    if cell is None:
        return "empty"
    return cell if len(cell) <= 80 else f"{cell[:79]}…"
