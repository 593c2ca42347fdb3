"""Writing steps: a proposal as a new step, and an examined text into an existing one, each with its audit event."""

import uuid
from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone

from config.sentences import making
from data_agent import audit
from data_agent.audit import Person
from data_agent.drafting import Draft, Examined
from data_agent.guard import policy
from data_agent.models import Session, State, Step

APPROVAL_VALID = timedelta(minutes=5)


def policy_for(person: Person) -> str:
    """Return the version of the rules that a person's queries are under: who sees personal data has other rules."""
    return f"{policy.VERSION}+personal" if person.personal else policy.VERSION


def add_step(person: Person, session: Session, question: str, draft: Draft, *, after: Step | None = None) -> Step:
    """Put a draft before a person as a new step: of a new question, or `after` another step of the same one.

    The caller has locked the session, so that two questions at once do not get the same number.
    """
    for refused in draft.refused:
        record_blocked(person, session.pk, None, question, refused)
    step = Step(
        session=session,
        number=(session.steps.aggregate(last=Max("number"))["last"] or 0) + 1,
        part=after.part + 1 if after else 1,
        question=question,
        explanation=audit.clean(draft.explanation),
        source=draft.source,
        note=audit.clean(draft.note),
        clarification=audit.clean(draft.clarification),
        provider=draft.completion.provider if draft.completion else "",
        model=draft.completion.model if draft.completion else "",
        fallback=draft.completion.fallback if draft.completion else False,
        **put_forward(person, draft.examined),
    )
    step.said = {**(step.said or {}), "note": making(draft.note)}
    step.thread = after.thread if after else step.pk
    if draft.clarification:
        step.state = State.ASKING
        step.expires_at = None
    step.save(force_insert=True)
    if draft.clarification:
        audit.record_step("asked", person, step)
    elif draft.examined.problem:
        record_blocked(person, session.pk, step.pk, question, draft.examined)
    else:
        audit.record_step("proposed", person, step)
    return step


def advance(step: Step, states: Collection[State], **values: Any) -> bool:
    """Change a step by one conditional UPDATE if it is in one of the states; return whether it was.

    The step in memory is changed as well, so that nothing must be read again.
    """
    if not Step.objects.filter(pk=step.pk, state__in=states).update(**values):
        return False
    for name, value in values.items():
        setattr(step, name, value)
    return True


def put_forward(person: Person, examined: Examined) -> dict[str, Any]:
    """Return the fields of a step for a text that was examined."""
    sql = audit.clean(examined.sql)
    usable = not examined.problem
    return {
        "state": State.PROPOSED if usable else State.BLOCKED,
        "sql": sql,
        "sql_sha256": audit.fingerprint(sql),
        "proposed_to_id": person.id,
        "policy_version": policy_for(person),
        "expires_at": timezone.now() + APPROVAL_VALID if usable else None,
        "estimated_rows": examined.estimated_rows,
        "estimated_cost": examined.estimated_cost,
        "verdict": verdict_of(examined),
        "said": {
            "reasons": [making(reason) for reason in examined.reasons],
            "warnings": [making(warning) for warning in examined.verdict.warnings],
        },
    }


def verdict_of(examined: Examined) -> dict[str, Any]:
    """Return a verdict as it is kept, with the text as it came where that is another one."""
    verdict = asdict(examined.verdict)
    del verdict["sql"]
    verdict["reasons"] = list(examined.reasons)
    if examined.given and examined.given != examined.sql:
        verdict["given"] = audit.clean(examined.given)
        verdict["given_sha256"] = audit.fingerprint(examined.given)
    # As JSON will give it back: the audit's hash is made of this.
    return {key: list(value) if isinstance(value, tuple) else value for key, value in verdict.items()}


def record_blocked(
    person: Person, session_id: uuid.UUID | None, step_id: uuid.UUID | None, question: str, examined: Examined
) -> None:
    """Log a text that was refused."""
    audit.record(
        "blocked",
        person,
        session_id=session_id,
        step_id=step_id,
        question=question,
        sql=examined.sql,
        verdict=verdict_of(examined),
        error=examined.problem,
    )
