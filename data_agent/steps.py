"""Finding conversations and steps: a person's own, and those that others share with them.

Whatever is somebody else's and not shared is not found, as if it were not there.
"""

import uuid
from collections.abc import Sequence

from channels.db import database_sync_to_async
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from config.sentences import say
from data_agent import audit
from data_agent.audit import Person
from data_agent.errors import NotAllowed, NotFound
from data_agent.models import Session, Share, State, Step, VerifiedQuestion

SESSIONS_LISTED = 12

READ_ONLY = say("This conversation is shared with you to be read. Ask your question in a conversation of your own.")


def sessions_of(person: Person) -> QuerySet[Session]:
    """Return the conversations that a person may read, the newest first."""
    return Session.objects.filter(
        Q(owner_id=person.id) | Exists(Share.objects.filter(session=OuterRef("pk"), person_id=person.id))
    )


@database_sync_to_async
def visible(person: Person, step_id: uuid.UUID) -> Step:
    """Return a step that a person may read; raises NotFound."""
    step = with_marks().filter(pk=step_id, session__in=sessions_of(person)).first()
    if step is None:
        raise _no_step()
    return step


def own(person: Person, step_id: uuid.UUID) -> Step:
    """Return a step that a person may decide; raises NotFound, or NotAllowed where it is only shared with them."""
    step = with_marks().filter(pk=step_id, session__in=sessions_of(person)).select_related("session").first()
    if step is None:
        raise _no_step()
    if step.session.owner_id != person.id:
        raise NotAllowed(READ_ONLY)
    return step


own_step = database_sync_to_async(own)


def own_session(person: Person, session_id: uuid.UUID, *, lock: bool = False) -> Session:
    """Return a conversation of a person; raises NotFound, or NotAllowed where it is only shared with them."""
    sessions = Session.objects.select_for_update() if lock else Session.objects
    session = sessions.filter(pk=session_id, owner_id=person.id).first()
    if session is None:
        if sessions_of(person).filter(pk=session_id).exists():
            raise NotAllowed(READ_ONLY)
        raise no_session()
    return session


@database_sync_to_async
def listed(person: Person, page: int) -> tuple[list[Session], bool]:
    """Return a page of the conversations a person may read, counted from 1, and whether there are more."""
    start = (page - 1) * SESSIONS_LISTED
    found = list(sessions_of(person).select_related("owner")[start : start + SESSIONS_LISTED + 1])
    return found[:SESSIONS_LISTED], len(found) > SESSIONS_LISTED


def of_question(step: Step) -> Sequence[Step]:
    """Return all steps of a step's question, in order."""
    return list(with_marks().filter(session_id=step.session_id, thread=step.thread).order_by("part"))


steps_of_question = database_sync_to_async(of_question)


@transaction.atomic
def expire(person: Person, step: Step) -> None:
    """Mark a proposal that nobody decided in time."""
    if Step.objects.filter(pk=step.pk, state=State.PROPOSED, expires_at__lte=timezone.now()).update(
        state=State.EXPIRED
    ):
        audit.record_step("expired", person, step)


def no_session() -> NotFound:
    """Return the error for a conversation that is not there, or not for this person."""
    return NotFound(say("There is no such conversation."))


def _no_step() -> NotFound:
    return NotFound(say("There is no such step."))


def with_marks() -> QuerySet[Step]:
    """Return all steps, each with whether staff marked it as verified."""
    return Step.objects.annotate(is_verified=Exists(VerifiedQuestion.objects.filter(step=OuterRef("pk"))))
