"""The life of a step: proposed, decided by a person, run, answered.

An approval holds for one person, one exact text (its SHA-256), one version of the policy and a few minutes, and is
used up by one conditional UPDATE: of two approvals at once one wins. Each transition and its audit event are one
transaction.
"""

import asyncio
import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from channels.db import database_sync_to_async
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from data_agent import answers, audit, drafting, execution, policy
from data_agent.audit import Person
from data_agent.drafting import Draft, Examined
from data_agent.errors import NotDecidable, NotFound, QueryFailed, Unavailable
from data_agent.execution import Result, ResultColumn
from data_agent.models import Session, State, Step

APPROVAL_VALID = timedelta(minutes=5)
# A run whose process died is given up after this.
ABANDONED = timedelta(minutes=3)
HISTORY_STEPS = 30
TITLE_LENGTH = 80

UNDECIDED = (State.PROPOSED, State.BLOCKED, State.EXPIRED)


async def propose(person: Person, question: str, *, session_id: uuid.UUID | None = None, feedback: str = "") -> Step:
    """Find a query for a question and put it before the person, in a new session where none is given.

    Raises NotFound for somebody else's session, Unavailable without the analytics database.
    """
    question = audit.clean(question)
    rejected = await _rejected_texts(person, session_id, question) if session_id else []
    draft = await drafting.draft(question, feedback=audit.clean(feedback), without=rejected)
    return await _store_proposal(person, session_id, question, draft)


async def edit(person: Person, step_id: uuid.UUID, sql: str) -> Step:
    """Check a person's text and put it before them, to be approved or not; what was proposed before is void.

    Raises NotFound, NotDecidable where the step was decided meanwhile, Unavailable without the analytics database.
    """
    await _step(person, step_id)
    return await _store_edit(person, step_id, sql, await drafting.examine(sql))


async def approve(person: Person, step_id: uuid.UUID, sha256: str) -> Step:
    """Use up a proposal: from here on exactly that text may run, once.

    Raises NotFound, and NotDecidable where the text is another one, too old or decided already.
    """
    return await _approve(person, step_id, sha256)


async def run(person: Person, step_id: uuid.UUID) -> Step:
    """Run an approved text and keep what came out. A failure is kept too, and does not raise."""
    step = await _step(person, step_id)
    if step.state != State.APPROVED:
        raise NotDecidable("This query is not approved.")
    try:
        if audit.fingerprint(step.sql) != step.sql_sha256:
            raise QueryFailed("The query's text is not the one that was approved, so it was not run.")
        result = await execution.run(step.sql)
    except (QueryFailed, Unavailable) as error:
        return await _store_failure(person, step_id, str(error), "failed")
    except BaseException:
        # The person left or the server stops: PostgreSQL has ended the query with its connection.
        message = "The query was cancelled before its end."
        await asyncio.shield(_store_failure(person, step_id, message, "cancelled"))
        raise
    return await _store_result(person, step_id, result)


async def answer(person: Person, step_id: uuid.UUID) -> Step:
    """Put the result of a step into words."""
    step = await _step(person, step_id)
    if step.state != State.EXECUTED:
        raise NotDecidable("This query has no result to answer from.")
    columns = [ResultColumn(**column) for column in step.columns]
    more = bool(step.cut or len(step.rows) == step.verdict.get("limit"))
    by_rule = answers.Answer(answers.sentence(columns, step.rows, more=more), "rule")
    try:
        found = await answers.answer(step.question, columns, step.rows, more=more)
    except BaseException:
        await asyncio.shield(_store_answer(person, step_id, by_rule))
        raise
    return await _store_answer(person, step_id, found)


async def reject(person: Person, step_id: uuid.UUID, reason: str = "") -> Step:
    """Refuse a proposal, with an optional reason. Raises NotFound and NotDecidable."""
    return await _decide_against(person, step_id, State.REJECTED, audit.clean(reason))


async def skip(person: Person, step_id: uuid.UUID) -> Step:
    """Leave a question without a query. Raises NotFound and NotDecidable."""
    return await _decide_against(person, step_id, State.SKIPPED, "")


@database_sync_to_async
def history(person: Person, session_id: uuid.UUID | None) -> tuple[Session | None, list[Step]]:
    """Return a session, the newest one where none is named, and its last steps in order.

    Proposals that are too old are expired, and runs whose process died are given up, before they are shown.
    """
    sessions = Session.objects.filter(owner_id=person.id)
    session = sessions.filter(pk=session_id).first() if session_id else sessions.first()
    if session is None:
        if session_id:
            raise _no_session()
        return None, []
    for step in session.steps.filter(state=State.PROPOSED, expires_at__lte=timezone.now()):
        _expire(person, step)
    limit = timezone.now() - ABANDONED
    for step in session.steps.filter(state__in=(State.APPROVED, State.EXECUTED), decided_at__lte=limit):
        _give_up(person, step)
    return session, list(reversed(session.steps.order_by("-number")[:HISTORY_STEPS]))


@database_sync_to_async
def _step(person: Person, step_id: uuid.UUID) -> Step:
    return _find(person, step_id)


def _find(person: Person, step_id: uuid.UUID) -> Step:
    step = Step.objects.filter(pk=step_id, session__owner_id=person.id).first()
    if step is None:
        raise NotFound("There is no such step.")
    return step


def _no_session() -> NotFound:
    return NotFound("There is no such conversation.")


@database_sync_to_async
def _rejected_texts(person: Person, session_id: uuid.UUID, question: str) -> list[str]:
    if not Session.objects.filter(pk=session_id, owner_id=person.id).exists():
        raise _no_session()
    return list(
        Step.objects.filter(session_id=session_id, question=question, state=State.REJECTED).values_list(
            "sql", flat=True
        )
    )


@database_sync_to_async
@transaction.atomic
def _store_proposal(person: Person, session_id: uuid.UUID | None, question: str, draft: Draft) -> Step:
    if session_id is None:
        session = Session.objects.create(owner_id=person.id, title=question[:TITLE_LENGTH])
    else:
        # Locked, so that two questions at once do not get the same number.
        found = Session.objects.select_for_update().filter(pk=session_id, owner_id=person.id).first()
        if found is None:
            raise _no_session()
        session = found
    last = session.steps.aggregate(last=Max("number"))["last"] or 0
    for refused in draft.refused:
        _record_blocked(person, session.pk, None, question, refused)
    step = Step(
        session=session,
        number=last + 1,
        question=question,
        explanation=audit.clean(draft.explanation),
        source=draft.source,
        note=audit.clean(draft.note),
        provider=draft.completion.provider if draft.completion else "",
        model=draft.completion.model if draft.completion else "",
        fallback=draft.completion.fallback if draft.completion else False,
        **_put_forward(draft.examined),
    )
    step.save(force_insert=True)
    if draft.examined.problem:
        _record_blocked(person, session.pk, step.pk, question, draft.examined)
    else:
        _record(person, "proposed", step)
    return step


@database_sync_to_async
@transaction.atomic
def _store_edit(person: Person, step_id: uuid.UUID, sql: str, examined: Examined) -> Step:
    before = _find(person, step_id)
    changes = {**_put_forward(examined), "source": "edited", "note": "", "explanation": ""}
    if audit.fingerprint(changes["sql"]) == before.sql_sha256:
        # Checked again without a change: it is still whose it was.
        changes |= {"source": before.source, "note": before.note, "explanation": before.explanation}
    if not Step.objects.filter(pk=step_id, state__in=UNDECIDED).update(**changes):
        raise NotDecidable("This query was decided already, so it cannot be edited any more.")
    step = _find(person, step_id)
    audit.record(
        "edited",
        person,
        session_id=step.session_id,
        step_id=step.pk,
        question=step.question,
        sql=sql,
        verdict={**_verdict(examined), "replaces": before.sql_sha256, "shown": step.sql_sha256},
    )
    if examined.problem:
        _record_blocked(person, step.session_id, step.pk, step.question, examined)
    return step


@database_sync_to_async
def _approve(person: Person, step_id: uuid.UUID, sha256: str) -> Step:
    with transaction.atomic():
        step = _find(person, step_id)
        now = timezone.now()
        # No join here: PostgreSQL checks these conditions again when it had to wait for the row, but no sub-query.
        approved = Step.objects.filter(
            pk=step.pk,
            state=State.PROPOSED,
            sql_sha256=sha256,
            policy_version=policy.VERSION,
            expires_at__gt=now,
        ).update(state=State.APPROVED, decided_at=now)
        if approved:
            step.refresh_from_db()
            _record(person, "approved", step)
            return step
    raise NotDecidable(_why_not_approved(person, _find(person, step_id), sha256))


def _why_not_approved(person: Person, step: Step, sha256: str) -> str:
    if step.state == State.PROPOSED and step.expires_at is not None and step.expires_at <= timezone.now():
        _expire(person, step)
        return "The proposal is too old to be approved. Check it again, then approve it."
    if step.state == State.EXPIRED:
        return "The proposal is too old to be approved. Check it again, then approve it."
    if step.state == State.BLOCKED:
        return "This query cannot run. Edit it and check it again, then approve it."
    if step.state != State.PROPOSED:
        return f"This query was decided already: it is {State(step.state).label}."
    if step.sql_sha256 != sha256:
        return "The query was changed since you saw it. Read it again, then approve it."
    return "The rules for queries were changed meanwhile. Check it again, then approve it."


@database_sync_to_async
@transaction.atomic
def _decide_against(person: Person, step_id: uuid.UUID, state: State, reason: str) -> Step:
    step = _find(person, step_id)
    decided = Step.objects.filter(pk=step.pk, state__in=UNDECIDED).update(
        state=state, reason=reason, decided_at=timezone.now()
    )
    if not decided:
        raise NotDecidable("This query was decided already.")
    step.refresh_from_db()
    _record(person, "rejected" if state == State.REJECTED else "skipped", step, error=reason)
    return step


@database_sync_to_async
@transaction.atomic
def _store_failure(person: Person, step_id: uuid.UUID, message: str, kind: audit.Kind) -> Step:
    step = _find(person, step_id)
    message = audit.clean(message)
    if Step.objects.filter(pk=step.pk, state=State.APPROVED).update(
        state=State.FAILED, error=message, finished_at=timezone.now()
    ):
        step.refresh_from_db()
        _record(person, kind, step, error=message)
    return step


@database_sync_to_async
@transaction.atomic
def _store_result(person: Person, step_id: uuid.UUID, result: Result) -> Step:
    step = _find(person, step_id)
    # Cells may hold what JSON in PostgreSQL cannot: it takes no NUL, which texts of PostgreSQL never hold.
    if not Step.objects.filter(pk=step.pk, state=State.APPROVED).update(
        state=State.EXECUTED,
        columns=[asdict(column) for column in result.columns],
        rows=[list(row) for row in result.rows],
        cut=result.cut,
        duration_ms=result.duration_ms,
    ):
        raise NotDecidable("This query was given up meanwhile.")
    step.refresh_from_db()
    _record(person, "executed", step, rows=len(result.rows), size=result.bytes, duration_ms=result.duration_ms)
    return step


@database_sync_to_async
@transaction.atomic
def _store_answer(person: Person, step_id: uuid.UUID, found: answers.Answer) -> Step:
    step = _find(person, step_id)
    if Step.objects.filter(pk=step.pk, state=State.EXECUTED).update(
        state=State.ANSWERED, answer=audit.clean(found.text), answer_source=found.source, finished_at=timezone.now()
    ):
        step.refresh_from_db()
        _record(person, "answered", step)
    return step


@transaction.atomic
def _expire(person: Person, step: Step) -> None:
    if Step.objects.filter(pk=step.pk, state=State.PROPOSED, expires_at__lte=timezone.now()).update(
        state=State.EXPIRED
    ):
        _record(person, "expired", step)


@transaction.atomic
def _give_up(person: Person, step: Step) -> None:
    message = "The server stopped before this was done. Ask again."
    if Step.objects.filter(pk=step.pk, state__in=(State.APPROVED, State.EXECUTED)).update(
        state=State.FAILED, error=message, finished_at=timezone.now()
    ):
        _record(person, "failed", step, error=message)


def _put_forward(examined: Examined) -> dict[str, Any]:
    """Return the fields of a step for a text that was examined."""
    sql = audit.clean(examined.sql)
    usable = not examined.problem
    return {
        "state": State.PROPOSED if usable else State.BLOCKED,
        "sql": sql,
        "sql_sha256": audit.fingerprint(sql),
        "policy_version": examined.verdict.policy_version,
        "expires_at": timezone.now() + APPROVAL_VALID if usable else None,
        "estimated_rows": examined.estimated_rows,
        "verdict": _verdict(examined),
    }


def _verdict(examined: Examined) -> dict[str, Any]:
    verdict = asdict(examined.verdict)
    del verdict["sql"]
    if examined.problem and not verdict["reasons"]:
        verdict["reasons"] = [examined.problem]
    # As JSON will give it back: the audit's hash is made of this.
    return {key: list(value) if isinstance(value, tuple) else value for key, value in verdict.items()}


def _record_blocked(
    person: Person, session_id: uuid.UUID, step_id: uuid.UUID | None, question: str, examined: Examined
) -> None:
    audit.record(
        "blocked",
        person,
        session_id=session_id,
        step_id=step_id,
        question=question,
        sql=examined.sql,
        verdict=_verdict(examined),
        error=examined.problem,
    )


def _record(person: Person, kind: audit.Kind, step: Step, **details: Any) -> None:
    audit.record(
        kind,
        person,
        session_id=step.session_id,
        step_id=step.pk,
        question=step.question,
        sql=step.sql,
        verdict=step.verdict,
        **details,
    )
