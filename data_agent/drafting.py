"""Finds a query for a question: the model's own, repaired once if it must be, or else a verified one."""

from collections.abc import Collection
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from data_agent import execution, guard, prompts, verified
from data_agent.errors import QueryFailed
from data_agent.guard import Verdict
from llm import registry, tokens
from llm.errors import LLMError
from llm.types import Completion, Request

log = structlog.get_logger(__name__)

EXAMPLES = 2
MAX_TOKENS = 400
TRIES = 2


@dataclass(frozen=True, slots=True)
class Examined:
    """A text, what the guard and PostgreSQL's planner say of it, and why it cannot be used (empty if it can)."""

    # What would run, laid out for people; the text as it was given where it cannot be used.
    sql: str
    verdict: Verdict
    estimated_rows: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A query for a question, to be shown to a person."""

    examined: Examined
    explanation: str = ""
    # "model" or "verified".
    source: str = "model"
    note: str = ""
    # Which model wrote it; None for what is not a model's.
    completion: Completion | None = None
    # What the model proposed before and was refused.
    refused: list[Examined] = field(default_factory=list)


async def examine(sql: str) -> Examined:
    """Check a text with the guard and let PostgreSQL plan it.

    Raises Unavailable where the analytics database cannot be reached.
    """
    verdict = guard.check(sql)
    if not verdict.allowed:
        return Examined(sql, verdict, problem=" ".join(verdict.reasons))
    text = guard.laid_out(verdict)
    try:
        estimate = await execution.estimate(text)
    except QueryFailed as error:
        return Examined(text, verdict, problem=str(error))
    return Examined(text, verdict, estimate.rows)


def most_tokens(question: str, feedback: str = "") -> int:
    """Return how many tokens a draft takes at most, about."""
    messages = prompts.proposal(question, verified.nearest(question, EXAMPLES), feedback)
    return TRIES * (tokens.estimate_prompt(messages) + MAX_TOKENS)


async def draft(question: str, *, feedback: str = "", without: Collection[str] = ()) -> Draft:
    """Return a query for the question.

    `feedback` is why a person rejected the query before, `without` the texts that were rejected. The draft cannot be
    used (`examined.problem`) where neither the model nor the verified questions had a query. Raises Unavailable where
    the analytics database cannot be reached.
    """
    messages = prompts.proposal(question, verified.nearest(question, EXAMPLES), feedback)
    refused: list[Examined] = []
    completion: Completion | None = None
    problem = ""
    for _ in range(TRIES):
        try:
            completion = await registry.chain("sql").complete(
                Request(messages, max_tokens=MAX_TOKENS, temperature=0, answer_schema=prompts.PROPOSAL_SCHEMA)
            )
            proposal = prompts.Proposal.model_validate_json(completion.text)
        except LLMError as error:
            log.warning("no proposal from the model", error=str(error))
            problem = error.public
            break
        except ValidationError:
            problem = "The answer was not JSON with sql and explanation."
        else:
            examined = await examine(proposal.sql)
            problem = examined.problem
            if examined.sql in without:
                problem = "It is a query that was rejected already."
            if not problem:
                return Draft(examined, proposal.explanation, completion=completion, refused=refused)
            refused.append(examined)
        messages = prompts.repair(messages, completion.text if completion else "", problem)
    return await _stand_in(question, problem, refused, completion, without)


async def _stand_in(
    question: str, problem: str, refused: list[Examined], completion: Completion | None, without: Collection[str]
) -> Draft:
    """Return the nearest verified question's query; without one, the model's last, which cannot be used."""
    rejected: list[str] = []
    while entry := verified.stand_in(question, rejected):
        examined = await examine(entry.sql)
        if not examined.problem and examined.sql not in without:
            note = (
                f"The model's own query was not usable: {problem} "
                f"This is the nearest question that staff verified: “{entry.question}”"
            )
            return Draft(examined, entry.explanation, "verified", note, refused=refused)
        rejected.append(entry.question)
    last = refused[-1] if refused else Examined("", Verdict(False, reasons=(problem,)), problem=problem)
    note = "Neither the model nor the verified questions have a query for this. Rephrase it, or write the query."
    return Draft(last, note=note, completion=completion, refused=refused[:-1])
