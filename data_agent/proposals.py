"""The life of a proposal: put before a person, edited, approved, rejected, skipped, or answered by them.

An approval holds for one person, one exact text (its SHA-256), one version of the policy and a few minutes, and is
used up by one conditional UPDATE: of two approvals at once one wins. Each transition and its audit event are one
transaction. What happens to an approved text is in `data_agent.outcomes`.
"""

import asyncio
import uuid

from channels.db import database_sync_to_async
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from config.sentences import say
from data_agent import audit, drafting, steps, transitions
from data_agent.audit import Person
from data_agent.drafting import Draft, Examined
from data_agent.errors import DataAgentError, NotDecidable
from data_agent.models import Session, State, Step
from data_agent.prompts import Asked
from data_agent.storing import add_step, advance, policy_for, put_forward, record_blocked, verdict_of
from data_agent.verified import Verified

TITLE_LENGTH = 80
# Questions before this one that the model is told of.
EARLIER = 2

UNDECIDED = (State.PROPOSED, State.BLOCKED, State.EXPIRED)


async def propose(
    person: Person, question: str, *, session_id: uuid.UUID | None = None, feedback: str = "", after: Step | None = None
) -> Step:
    """Find a query for a question and put it before the person, in a new session where none is given.

    `after` is the step of the same question that was rejected with `feedback`, or whose clarification was replied to.
    Raises NotFound for somebody else's session, Unavailable without the analytics database.
    """
    question = audit.clean(question)
    session_id = after.session_id if after else session_id
    asked, rejected = await _what_is_known(person, session_id, question, audit.clean(feedback), after)
    try:
        draft = await drafting.draft(asked, without=rejected, personal=person.personal)
    except DataAgentError as error:
        await _record_unanswered("failed", person, session_id, question, str(error))
        raise
    except BaseException:
        message = "The question was stopped before there was a proposal."
        await asyncio.shield(_record_unanswered("cancelled", person, session_id, question, message))
        raise
    return await _store_proposal(person, session_id, question, draft, after)


async def edit(person: Person, step_id: uuid.UUID, sql: str) -> Step:
    """Check a person's text and put it before them, to be approved or not; what was proposed before is void.

    Raises NotFound, NotDecidable where the step was decided meanwhile, Unavailable without the analytics database.
    """
    await steps.own_step(person, step_id)
    return await _store_edit(person, step_id, sql, await drafting.examine(sql, personal=person.personal))


async def approve(person: Person, step_id: uuid.UUID, sha256: str) -> Step:
    """Use up a proposal: from here on exactly that text may run, once.

    Raises NotFound, and NotDecidable where the text is another one, too old or decided already.
    """
    step = await transitions.approve(person, step_id, sha256, policy_for(person))
    if step is None:
        raise NotDecidable(await _why_not_approved(person, step_id, sha256))
    return step


async def reject(person: Person, step_id: uuid.UUID, reason: str = "") -> Step:
    """Refuse a proposal, with an optional reason. Raises NotFound and NotDecidable."""
    return await _decide_against(person, step_id, State.REJECTED, audit.clean(reason))


async def skip(person: Person, step_id: uuid.UUID) -> Step:
    """Leave a question without a query. Raises NotFound and NotDecidable."""
    return await _decide_against(person, step_id, State.SKIPPED, "")


@database_sync_to_async
@transaction.atomic
def reply(person: Person, step_id: uuid.UUID, text: str) -> Step:
    """Keep what a person replied to the model's question. Raises NotFound and NotDecidable."""
    step = steps.own(person, step_id)
    if not advance(step, [State.ASKING], state=State.REPLIED, reply=audit.clean(text), decided_at=timezone.now()):
        raise NotDecidable(say("This question was replied to already, or is none."))
    audit.record_step("replied", person, step, error=step.reply)
    return step


@database_sync_to_async
def _what_is_known(
    person: Person, session_id: uuid.UUID | None, question: str, feedback: str, after: Step | None
) -> tuple[Asked, list[str]]:
    """Return the question with all that was said about it, and the texts that were rejected for it."""
    if session_id is None:
        return Asked(question, feedback), []
    session = steps.own_session(person, session_id)
    thread = steps.of_question(after) if after else ()
    said = tuple((step.clarification, step.reply) for step in thread if step.state == State.REPLIED)
    before = session.steps.filter(state=State.ANSWERED).order_by("-number")
    earlier = tuple(Verified(step.question, step.sql, step.explanation) for step in reversed(before[:EARLIER]))
    rejected = session.steps.filter(question=question, state=State.REJECTED).values_list("sql", flat=True)
    return Asked(question, feedback, said, earlier=earlier), list(rejected)


@database_sync_to_async
def _record_unanswered(
    kind: audit.Kind, person: Person, session_id: uuid.UUID | None, question: str, error: str
) -> None:
    audit.record(kind, person, session_id=session_id, question=question, error=error)


@database_sync_to_async
@transaction.atomic
def _store_proposal(
    person: Person, session_id: uuid.UUID | None, question: str, draft: Draft, after: Step | None
) -> Step:
    if session_id is None:
        session = Session.objects.create(owner_id=person.id, title=question[:TITLE_LENGTH])
    else:
        session = steps.own_session(person, session_id, lock=True)
    return add_step(person, session, question, draft, after=after)


@database_sync_to_async
@transaction.atomic
def _store_edit(person: Person, step_id: uuid.UUID, sql: str, examined: Examined) -> Step:
    before = steps.own(person, step_id)
    changes = {**put_forward(person, examined), "source": "edited", "note": "", "explanation": ""}
    if audit.fingerprint(changes["sql"]) == before.sql_sha256:
        # Checked again without a change: it is still whose it was.
        changes |= {"source": before.source, "note": before.note, "explanation": before.explanation}
        changes["said"] |= {"note": (before.said or {}).get("note", [])}
    if not Step.objects.filter(pk=step_id, state__in=UNDECIDED).update(**changes):
        raise NotDecidable(say("This query was decided already, so it cannot be edited any more."))
    step = steps.own(person, step_id)
    audit.record(
        "edited",
        person,
        session_id=step.session_id,
        step_id=step.pk,
        question=step.question,
        sql=sql,
        verdict={**verdict_of(examined), "replaces": before.sql_sha256, "shown": step.sql_sha256},
        cost=step.estimated_cost,
    )
    if examined.problem:
        record_blocked(person, step.session_id, step.pk, step.question, examined)
    return step


@database_sync_to_async
def _why_not_approved(person: Person, step_id: uuid.UUID, sha256: str) -> str:
    step = steps.own(person, step_id)
    if step.state == State.PROPOSED and step.expires_at is not None and step.expires_at <= timezone.now():
        steps.expire(person, step)
        return say("The proposal is too old to be approved. Check it again, then approve it.")
    if step.state == State.EXPIRED:
        return say("The proposal is too old to be approved. Check it again, then approve it.")
    if step.state == State.BLOCKED:
        return say("This query cannot run. Edit it and check it again, then approve it.")
    if step.state != State.PROPOSED:
        return gettext("This query was decided already: it is %(state)s.") % {"state": State(step.state).label}
    if step.sql_sha256 != sha256:
        return say("The query was changed since you saw it. Read it again, then approve it.")
    return say("The rules for queries were changed meanwhile. Check it again, then approve it.")


@database_sync_to_async
@transaction.atomic
def _decide_against(person: Person, step_id: uuid.UUID, state: State, reason: str) -> Step:
    step = steps.own(person, step_id)
    # The model's question can be left alone too.
    states = (*UNDECIDED, State.ASKING)
    if not advance(step, states, state=state, reason=reason, decided_at=timezone.now()):
        raise NotDecidable(say("This query was decided already."))
    audit.record_step("rejected" if state == State.REJECTED else "skipped", person, step, error=reason)
    return step
