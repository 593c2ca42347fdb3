"""Finds a query for a question: the model's own, repaired twice at most, or else a verified one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import structlog

from config import local_models
from config.observability import correlation
from config.sentences import joined, say
from data_agent import doubts, execution, guard, hints, joins, prompts, replies, samples, verified
from data_agent.errors import QueryFailed
from data_agent.guard import Verdict
from data_agent.joins import Completed
from data_agent.prompts import Asked, Given
from data_agent.replies import Reply, Unreadable
from data_agent.samples import Known
from llm import registry, tokens
from llm.errors import LLMError
from llm.types import Completion, Message, Request

log = structlog.get_logger(__name__)

EXAMPLES = 2
MAX_TOKENS = 400
# One query and two repairs.
TRIES = 3
# A model that is sure of itself writes the same text again: repairs are asked for with more freedom.
TEMPERATURES = (0.0, 0.3, 0.6)


@dataclass(frozen=True, slots=True)
class Examined:
    """A text, what the guard and PostgreSQL's planner say of it, and why it cannot be used (empty if it can)."""

    # What would run, laid out for people; the text as it was given where it cannot be used.
    sql: str
    verdict: Verdict
    estimated_rows: int | None = None
    estimated_cost: float | None = None
    problem: str = ""
    # As it came from the model or the person.
    given: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The guard's reasons against it, or else PostgreSQL's."""
        return self.verdict.reasons or ((self.problem,) if self.problem else ())


@dataclass(frozen=True, slots=True)
class Draft:
    """A query for a question, to be shown to a person; or, with a `clarification`, the model's question to them."""

    examined: Examined
    explanation: str = ""
    # "model" or "verified".
    source: str = "model"
    note: str = ""
    clarification: str = ""
    # Which model wrote it; None for what is not a model's.
    completion: Completion | None = None
    # What the model proposed before and was refused.
    refused: list[Examined] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of asking a model: its reply and, where that is a query, the examined text; or why there is none."""

    reply: Reply | None
    examined: Examined | None
    completion: Completion | None
    refused: list[Examined]
    problem: str = ""


NOTHING = Examined("", Verdict(False))


async def examine(sql: str, *, personal: bool = False) -> Examined:
    """Check a text with the guard and let PostgreSQL plan it; `personal` as in `audit.Person`.

    Raises Unavailable where the analytics database cannot be reached.
    """
    verdict = guard.check(sql, personal=personal)
    if not verdict.allowed:
        return Examined(sql, verdict, problem=joined(*verdict.reasons), given=sql)
    text = guard.laid_out(verdict)
    try:
        estimate = await execution.estimate(text, personal=personal)
    except QueryFailed as error:
        return Examined(text, verdict, problem=error.sentence, given=sql)
    return Examined(text, verdict, estimate.rows, estimate.cost, given=sql)


def most_tokens(asked: Asked) -> int:
    """Return how many tokens a draft takes at most, about."""
    messages = prompts.proposal(asked, verified.shipped()[:EXAMPLES], Known())
    return TRIES * (tokens.estimate_prompt(messages) + MAX_TOKENS)


async def draft(
    asked: Asked,
    *,
    without: Collection[str] = (),
    personal: bool = False,
) -> Draft:
    """Return a query for the question.

    `without` are texts that were rejected. The draft cannot be used (`examined.problem`) where neither the model nor
    the verified questions had a query. Raises Unavailable where the analytics database cannot be reached.
    """
    known = await samples.known()
    book = await verified.book()
    if _is_small():
        problem = say("The small local model cannot write queries.")
        return await _stand_in(asked, book, known, problem, [], None, without, personal)
    messages = prompts.proposal(asked, book.nearest(asked.question, EXAMPLES, known.in_general(asked.question)), known)
    attempt = await attempt_query(
        messages,
        prompts.PROPOSAL_SCHEMA,
        known,
        question=asked.question,
        said=asked.said,
        without=without,
        personal=personal,
    )
    if attempt.reply is not None and attempt.examined is not None:
        return Draft(attempt.examined, attempt.reply.text, completion=attempt.completion, refused=attempt.refused)
    if attempt.reply is not None:
        return Draft(NOTHING, clarification=attempt.reply.text, completion=attempt.completion, refused=attempt.refused)
    return await _stand_in(asked, book, known, attempt.problem, attempt.refused, attempt.completion, without, personal)


async def next_step(asked: Asked, given: Sequence[Given], *, personal: bool = False) -> Attempt:
    """Ask the model what to do with the results so far: answer, query again, or ask the person."""
    known = await samples.known()
    if _is_small():
        return Attempt(None, None, None, [], say("The small local model only puts results into words."))
    messages = prompts.next_step(asked, given, known)
    done = [each.sql for each in given]
    return await attempt_query(messages, prompts.NEXT_SCHEMA, known, done=done, personal=personal)


async def attempt_query(
    messages: tuple[Message, ...],
    schema: dict[str, object],
    known: Known,
    *,
    question: str = "",
    said: str = "",
    without: Collection[str] = (),
    done: Collection[str] = (),
    personal: bool = False,
) -> Attempt:
    """Ask a model, and again with what was wrong where that can help; never raises because of a model.

    `question` is what one query alone is to answer, `said` all that the person said so far. Of queries that leave a
    doubt, the first with the fewest is taken. `without` are texts that were rejected; a model that repeats one in
    `done`, which was run, has nothing more to ask.
    """
    refused: list[Examined] = []
    completion: Completion | None = None
    usable: Attempt | None = None
    fewest = 0
    first = messages
    problem = ""
    for turn in range(TRIES):
        try:
            completion = await _complete(messages, schema, turn)
            reply = replies.read(completion.text)
        except LLMError as error:
            log.warning("no proposal from the model", error=str(error))
            return usable or Attempt(None, None, completion, refused, error.public)
        except Unreadable as error:
            problem = error.args[0]
        else:
            if reply.action != "query":
                return usable or Attempt(reply, None, completion, refused)
            examined, doubtful = await _examine_mended(reply.sql, known, personal, question, said)
            problem = examined.problem
            if examined.sql in done:
                return usable or Attempt(None, None, completion, refused, say("It is a query that was run already."))
            if examined.sql in without:
                problem = say("It is a query that was rejected already.")
            if problem:
                refused.append(replace(examined, problem=problem))
            else:
                if usable is None or len(doubtful) < fewest:
                    fewest = len(doubtful)
                    usable = Attempt(reply, _warned(examined, doubtful), completion, refused)
                if not fewest:
                    return usable
                messages = prompts.minded(first, " ".join(doubtful))
                continue
        messages = prompts.repair(first, completion.text if completion else "", problem + hints.advice(problem))
    return usable or Attempt(None, None, completion, refused, problem)


async def _complete(messages: tuple[Message, ...], schema: dict[str, object], turn: int) -> Completion:
    """Ask the chain; raises LLMError."""
    return await registry.chain("sql").complete(
        Request(
            messages,
            max_tokens=MAX_TOKENS,
            temperature=TEMPERATURES[turn],
            answer_schema=schema,
            trace_id=correlation.trace_id(),
        )
    )


async def _examine_mended(
    sql: str, known: Known, personal: bool, question: str, said: str
) -> tuple[Examined, tuple[str, ...]]:
    """Examine a model's text, its columns and values put right; also return what is doubtful about it."""
    completed = Completed(sql)
    if not guard.check(sql, personal=personal).allowed:
        completed = joins.complete(sql)
        if not completed.notes or not guard.check(completed.sql, personal=personal).allowed:
            return await examine(sql, personal=personal), ()
    mended = hints.mend(completed.sql, known, question, said)
    examined = await examine(mended.sql, personal=personal)
    examined = replace(examined, given=sql)
    doubtful = (*mended.problems, *doubts.about(question, mended.sql, known, said))
    return _warned(examined, (*completed.notes, *mended.notes)), doubtful


def _warned(examined: Examined, warnings: Sequence[str]) -> Examined:
    if not warnings:
        return examined
    return replace(examined, verdict=replace(examined.verdict, warnings=(*examined.verdict.warnings, *warnings)))


async def _stand_in(
    asked: Asked,
    book: verified.Book,
    known: Known,
    problem: str,
    refused: list[Examined],
    completion: Completion | None,
    without: Collection[str],
    personal: bool,
) -> Draft:
    """Return the nearest verified question's query; without one, the model's last, which cannot be used."""
    passed: list[str] = []
    while entry := book.stand_in(asked.question, passed, known.in_general(asked.question)):
        examined = await examine(entry.sql, personal=personal)
        if not examined.problem and examined.sql not in without:
            note = joined(
                say("The model's own query was not usable: %(problem)s", problem=problem),
                say("This is the nearest question that staff verified: “%(question)s”", question=entry.question),
            )
            return Draft(examined, entry.explanation, "verified", note, refused=refused)
        passed.append(entry.question)
    last = refused[-1] if refused else Examined("", Verdict(False, reasons=(problem,)), problem=problem)
    note = say("Neither the model nor the verified questions have a query for this. Rephrase it, or write the query.")
    return Draft(last, note=note, completion=completion, refused=refused[:-1])


def _is_small() -> bool:
    """Whether the first to write SQL is the small local model, which cannot."""
    return local_models.is_small("sql")
