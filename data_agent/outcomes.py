"""What happens to an approved query: it runs, and its result leads to an answer or to the next step of the question.

Each transition and its audit event are one transaction; the approval was committed before anything runs.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from channels.db import database_sync_to_async
from django.db import transaction
from django.utils import timezone

from config.sentences import making, say
from data_agent import answers, audit, drafting, execution, hints, schema, steps, transitions
from data_agent.answers import Answer
from data_agent.audit import Person
from data_agent.connections import Ahead
from data_agent.drafting import Draft
from data_agent.errors import NotDecidable, QueryFailed, Unavailable
from data_agent.execution import Result, ResultColumn
from data_agent.models import State, Step
from data_agent.prompts import Asked, Given
from data_agent.step_data import MAX_PARTS
from data_agent.storing import add_step, advance, policy_for, record_blocked

# After so many queries of a question that PostgreSQL ended, no other one is proposed.
MAX_REPAIRS = 2
# Of each person; with at most 1 MB for each.
RESULTS_KEPT = 200
_WITH_RESULT = (State.EXECUTED, State.CONTINUED)
_CANCELLED = say("The query was cancelled before its end.")
FORGOTTEN = say("The rows of this older result are no longer kept. Ask again to see them.")


async def run(person: Person, step_id: uuid.UUID) -> Step:
    """Run an approved text and keep what came out. A failure is kept too, and does not raise."""
    return await run_approved(person, await steps.own_step(person, step_id))


async def run_approved(person: Person, step: Step, ahead: Ahead | None = None) -> Step:
    """Do that with a step as `proposals.approve` returned it, on the connection that was opened ahead."""
    if step.state != State.APPROVED:
        raise NotDecidable(say("This query is not approved."))
    try:
        if audit.fingerprint(step.sql) != step.sql_sha256:
            raise QueryFailed(say("The query's text is not the one that was approved, so it was not run."))
        if step.policy_version != policy_for(person):
            raise QueryFailed(say("The rules for your queries were changed after the approval, so it was not run."))
        result = await execution.run(step.sql, personal=person.personal, ahead=ahead)
    except (QueryFailed, Unavailable) as error:
        return await _store_failure(person, step, error.sentence, "failed")
    except BaseException:
        # The person left or the server stops: PostgreSQL has ended the query with its connection.
        await asyncio.shield(_store_failure(person, step, _CANCELLED, "cancelled"))
        raise
    if not await transitions.keep_result(person, step, _kept(person, step, result)):
        raise NotDecidable(say("This query was given up meanwhile."))
    return step


async def conclude(person: Person, step_id: uuid.UUID) -> list[Step]:
    """Answer from the results of a question, or put the next step before the person.

    Return the step as it is now, and the next one if there is one.
    """
    step = await steps.own_step(person, step_id)
    if step.state != State.EXECUTED:
        raise NotDecidable(say("This query has no result to answer from."))
    thread = await steps.steps_of_question(step)
    given = [_given(each) for each in thread if each.state in _WITH_RESULT]
    asked = _asked(thread)
    try:
        found = await _answer_or_draft(person, asked, given, step)
    except BaseException:
        await asyncio.shield(_store_answer(person, step, answers.by_rule(given)))
        raise
    if isinstance(found, Answer):
        return [await _store_answer(person, step, found)]
    return await _store_next(person, step, found)


@database_sync_to_async
def end(person: Person, step_id: uuid.UUID) -> Step:
    """End what a person left in between: a query that had not begun, or a result that nobody answers from."""
    step = steps.own(person, step_id)
    if step.state != State.EXECUTED:
        step = fail(person, step, _CANCELLED, "cancelled")
    # Perhaps its result came just now.
    return answer_by_rule(person, step) if step.state == State.EXECUTED else step


def answer_by_rule(person: Person, step: Step, remark: str = "") -> Step:
    """Answer without a model from what was run: nobody works on the answer any more. The remark is for the log."""
    given = [_given(each) for each in steps.of_question(step) if each.state in _WITH_RESULT]
    return _write_answer(person, step, answers.by_rule(given), remark)


def can_mend(step: Step) -> bool:
    """Whether another query may be put before the person: a model's query was run, and PostgreSQL objected."""
    return step.state == State.FAILED and step.source == "model" and step.part < MAX_PARTS


async def mend(person: Person, step: Step) -> Step:
    """Put another query before the person, after one that PostgreSQL ended; or the reasons why there is none."""
    thread = await steps.steps_of_question(step)
    failed = [each for each in thread if each.state == State.FAILED]
    if not can_mend(step) or len(failed) > MAX_REPAIRS:
        return step
    asked = _asked(thread, failure=(step.sql, step.error + hints.advice(step.error)))
    draft = await drafting.draft(asked, without=[each.sql for each in failed], personal=person.personal)
    return step if draft.examined.problem else await _store_after(person, step, draft)


async def _answer_or_draft(person: Person, asked: Asked, given: Sequence[Given], step: Step) -> Answer | Draft:
    # Nothing was found: that is the answer, and a small model would make something up.
    if not given[-1].rows and len(given) == 1:
        return answers.by_rule(given)
    refused = []
    if step.part < MAX_PARTS:
        attempt = await drafting.next_step(asked, given, personal=person.personal)
        refused = attempt.refused
        reply = attempt.reply
        if reply is not None and attempt.examined is not None:
            return Draft(attempt.examined, reply.text, completion=attempt.completion, refused=refused)
        if reply is not None and reply.action == "ask":
            return Draft(drafting.NOTHING, clarification=reply.text, completion=attempt.completion, refused=refused)
        if reply is not None:
            found = answers.in_words(reply.text, asked, given)
            if found is not None:
                return found
    if refused:
        await _record_refused(person, step, refused)
    return await answers.answer(asked, given)


def _given(step: Step) -> Given:
    columns = [ResultColumn(**column) for column in step.columns]
    more = bool(step.cut or len(step.rows) == step.verdict.get("limit"))
    return Given(step.pk, step.sql, columns, step.rows, more)


def _asked(thread: Sequence[Step], failure: tuple[str, str] | None = None) -> Asked:
    said = tuple((step.clarification, step.reply) for step in thread if step.state == State.REPLIED)
    feedback = next((step.reason for step in reversed(thread) if step.state == State.REJECTED and step.reason), "")
    return Asked(thread[0].question, feedback, said, failure)


@transaction.atomic
def fail(person: Person, step: Step, message: str, kind: audit.Kind) -> Step:
    """End a step that was approved and has no result; one that is further on stays as it is."""
    said = {**(step.said or {}), "error": making(message)}
    message = audit.clean(message)
    if not advance(step, [State.APPROVED], state=State.FAILED, error=message, said=said, finished_at=timezone.now()):
        return steps.own(person, step.pk)
    audit.record_step(kind, person, step, error=message)
    return step


_store_failure = database_sync_to_async(fail)


def _kept(person: Person, step: Step, result: Result) -> dict[str, Any]:
    """Return what a step keeps of a result. JSON in PostgreSQL takes no NUL, and texts of PostgreSQL never hold one."""
    return {
        "columns": [asdict(column) for column in result.columns],
        "rows": [list(row) for row in result.rows],
        "bytes": result.bytes,
        "personal": person.personal and _reads_personal(step),
        "cut": result.cut,
        "duration_ms": result.duration_ms,
    }


def _reads_personal(step: Step) -> bool:
    read = set(step.verdict.get("columns", ()))
    return any(f"{table.name}.{column}" in read for table in schema.TABLES for column in table.personal_columns)


@transaction.atomic
def _write_answer(person: Person, step: Step, found: Answer, remark: str = "") -> Step:
    text = audit.clean(found.text)
    numbers: list[dict[str, Any]] = [
        {**asdict(number), "step": str(number.step) if number.step else None} for number in found.numbers
    ]
    if not advance(
        step,
        [State.EXECUTED],
        state=State.ANSWERED,
        answer=text,
        answer_source=found.source,
        # Places in another text would point at nothing.
        numbers=numbers if len(text) == len(found.text) else [],
        finished_at=timezone.now(),
    ):
        return steps.own(person, step.pk)
    audit.record_step("answered", person, step, error=remark or _unfound(found))
    _forget_old_results(person)
    return step


_store_answer = database_sync_to_async(_write_answer)


def _unfound(found: Answer) -> str:
    """Return what the log says of numbers that the model made up or worked out; nothing where there are none."""
    texts = [found.text[number.start : number.end] for number in found.numbers if not number.found]
    return f"In no result: {', '.join(texts)}." if texts else ""


def _forget_old_results(person: Person) -> None:
    """Empty the results of a person beyond the newest ones, so that what is kept has a bound."""
    kept = Step.objects.filter(proposed_to_id=person.id, bytes__gt=0).order_by("-id").values_list("pk", flat=True)
    old = list(kept[RESULTS_KEPT : RESULTS_KEPT + 100])
    if old:
        Step.objects.filter(pk__in=old).update(rows=[], columns=[], bytes=0, personal=False, note=FORGOTTEN)


@database_sync_to_async
@transaction.atomic
def _store_next(person: Person, step: Step, draft: Draft) -> list[Step]:
    session = steps.own_session(person, step.session_id, lock=True)
    if not advance(step, [State.EXECUTED], state=State.CONTINUED, finished_at=timezone.now()):
        raise NotDecidable(say("This query was given up meanwhile."))
    return [step, add_step(person, session, step.question, draft, after=step)]


@database_sync_to_async
@transaction.atomic
def _store_after(person: Person, step: Step, draft: Draft) -> Step:
    session = steps.own_session(person, step.session_id, lock=True)
    return add_step(person, session, step.question, draft, after=step)


@database_sync_to_async
@transaction.atomic
def _record_refused(person: Person, step: Step, refused: Sequence[drafting.Examined]) -> None:
    for examined in refused:
        record_blocked(person, step.session_id, step.pk, step.question, examined)
