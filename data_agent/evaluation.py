"""Measures how often a model's query gives the same rows as one that a person wrote.

Execution accuracy: both queries run as the agent's role, through the guard; their rows are compared as sets with
multiplicity. The order of rows and of columns and the columns' names do not count. Numbers are compared at the
precision of the less exact query, but at two decimal places at least where the person's query has them. A column too
many is wrong, and counted apart.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from data_agent import drafting, guard, prompts, replies
from data_agent.drafting import MAX_TOKENS, Examined
from data_agent.errors import QueryFailed
from data_agent.execution import run
from data_agent.guard import Verdict
from data_agent.guard.limits import LIMIT_ADDED
from data_agent.guard.policy import DEFAULT_ROWS, MAX_ROWS
from data_agent.prompts import Asked
from llm import registry
from llm.errors import LLMError
from llm.meter import Meter
from llm.types import Request

QUESTIONS = Path(__file__).with_name("evaluation_questions.jsonl")
# Neither the prompt nor the repairs were made with these in view.
HELD_OUT = Path(__file__).with_name("evaluation_held_out.jsonl")
# Written by who knew the tables and nothing else; the repairs made since had the model's misses of them in view.
OTHERS = Path(__file__).with_name("evaluation_others.jsonl")
# Nothing was made with the model's answers to these in view.
UNSEEN = Path(__file__).with_name("evaluation_unseen.jsonl")

Prompt = Literal["agent", "plain"]
Rows = Sequence[Sequence[str | None]]
# Ways to match columns that are tried, at most.
_MATCHES = 5_000
# Who rounds an average to these has not changed it.
_FEWEST_DECIMALS = 2


class Case(BaseModel):
    """A question and a query that answers it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str
    gold_sql: str


class BadCases(ValueError):
    """The file holds no cases, or one that cannot be used; the message says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a question under one prompt.

    `nearly` says that the rows are right but for columns too many. `blocked` and `queries` count the model's texts:
    those that the guard refused, and all. `source` is "verified" where a verified question stood in.
    """

    prompt: Prompt
    case: Case
    sql: str
    source: str
    right: bool
    nearly: bool
    problem: str
    blocked: int
    queries: int
    seconds: float
    tokens: int


def read(path: Path) -> list[Case]:
    """Read cases from JSON Lines; raises BadCases, and OSError where there is no such file."""
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            cases.append(Case.model_validate(json.loads(line)))
        except (ValueError, ValidationError):
            raise BadCases(f"Line {number} is no JSON object with question and gold_sql.") from None
    if not cases:
        raise BadCases("There is no question in the file.")
    return cases


async def evaluate(cases: Sequence[Case], which: Sequence[Prompt]) -> AsyncIterator[Outcome]:
    """Yield the outcomes, question by question and under each prompt.

    Raises BadCases where a gold query cannot run, Unavailable without the analytics database.
    """
    for case in cases:
        try:
            gold = await _rows(case.gold_sql)
        except QueryFailed as error:
            raise BadCases(f"The gold query of “{case.question}” cannot run: {error}") from None
        for prompt in which:
            yield await _one(case, prompt, gold)


async def _one(case: Case, prompt: Prompt, gold: Rows) -> Outcome:
    meter = Meter()
    started = time.monotonic()
    with meter.running():
        proposed = await (_by_agent(case) if prompt == "agent" else _by_plain_prompt(case))
    seconds = time.monotonic() - started
    examined, source, texts = proposed
    problem = examined.problem
    right = nearly = False
    if not problem:
        try:
            rows = await _rows(examined.sql, limited=_limit_added(examined.verdict))
            right, nearly = same(gold, rows), same(gold, rows, more_columns=True)
            problem = "" if right else "other rows"
        except QueryFailed as error:
            problem = str(error)
    return Outcome(
        prompt=prompt,
        case=case,
        sql=examined.sql,
        source=source,
        right=right,
        nearly=nearly,
        problem=problem,
        blocked=sum(not text.verdict.allowed for text in texts),
        queries=len(texts),
        seconds=seconds,
        tokens=meter.tokens,
    )


async def _by_agent(case: Case) -> tuple[Examined, str, list[Examined]]:
    draft = await drafting.draft(Asked(case.question), personal=True)
    if draft.clarification:
        return Examined("", draft.examined.verdict, problem=f"asks: {draft.clarification}"), "model", draft.refused
    own = [draft.examined] if draft.source == "model" and draft.examined.sql else []
    return draft.examined, draft.source, [*draft.refused, *own]


async def _by_plain_prompt(case: Case) -> tuple[Examined, str, list[Examined]]:
    try:
        completion = await registry.chain("sql").complete(
            Request(prompts.plain(case.question), max_tokens=MAX_TOKENS, temperature=0)
        )
        reply = replies.read(completion.text)
    except LLMError as error:
        return Examined("", Verdict(False), problem=error.public), "model", []
    except replies.Unreadable:
        return Examined("", Verdict(False), problem="no query in the answer"), "model", []
    examined = await drafting.examine(reply.sql, personal=True)
    return examined, "model", [examined]


async def _rows(sql: str, *, limited: bool = False) -> Rows:
    """Run a query with as many rows as may be: the default limit would cut both results at different rows.

    `limited` says that the LIMIT it has is the guard's, put by an earlier check.
    """
    verdict = guard.check(sql, personal=True)
    if not verdict.allowed:
        raise QueryFailed(" ".join(verdict.reasons))
    text = verdict.sql
    if limited or _limit_added(verdict):
        text = f"{text.removesuffix(f'LIMIT {DEFAULT_ROWS}')}LIMIT {MAX_ROWS}"
    return (await run(text, personal=True)).rows


def _limit_added(verdict: Verdict) -> bool:
    return LIMIT_ADDED in verdict.warnings


def same(gold: Rows, rows: Rows, *, more_columns: bool = False) -> bool:
    """Whether the rows are those of the gold query, see the module's text."""
    if len(gold) != len(rows):
        return False
    if not gold:
        return True
    wanted, given = list(zip(*gold, strict=True)), list(zip(*rows, strict=True))
    if len(given) < len(wanted) or (len(given) > len(wanted) and not more_columns):
        return False
    pairs = [[pair for each in given if (pair := _as_one(column, each))] for column in wanted]
    for chosen in itertools.islice(itertools.product(*pairs), _MATCHES):
        ours, theirs = zip(*chosen, strict=True)
        if Counter(zip(*ours, strict=True)) == Counter(zip(*theirs, strict=True)):
            return True
    return False


def _as_one(gold: Sequence[str | None], given: Sequence[str | None]) -> tuple[list[Any], list[Any]] | None:
    """Return both columns in the form in which they are compared, if they hold the same values."""
    places = min(_decimals(gold), max(_decimals(given), _FEWEST_DECIMALS))
    ours, theirs = ([_plain(cell, places) for cell in column] for column in (gold, given))
    return (ours, theirs) if Counter(ours) == Counter(theirs) else None


def _decimals(column: Sequence[str | None]) -> int:
    """Return how many decimal places a column has, at most four."""
    places = 0
    for cell in column:
        number = _number(cell)
        if number is not None and number.is_finite():
            places = max(places, -int(number.normalize().as_tuple().exponent))
    return min(places, 4)


def _plain(cell: str | None, places: int) -> str | Decimal | None:
    number = _number(cell)
    if number is not None:
        return round(number, places) if number.is_finite() else str(number)
    # Midnight says the day, with and without a clock.
    return cell.removesuffix("+00").removesuffix(" 00:00:00") if cell else cell


def _number(cell: str | None) -> Decimal | None:
    try:
        return Decimal(cell) if cell else None
    except InvalidOperation:
        return None
