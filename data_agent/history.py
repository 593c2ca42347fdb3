"""A conversation as it is opened again: what nobody decided or finished in time is brought to its end first."""

import uuid
from datetime import timedelta

from channels.db import database_sync_to_async
from django.utils import timezone

from config.sentences import say
from data_agent import outcomes, steps
from data_agent.audit import Person
from data_agent.models import Session, State, Step

# What was worked on by a process that died is ended after this.
ABANDONED = timedelta(minutes=3)
STEPS_SHOWN = 30


@database_sync_to_async
def history(person: Person, session_id: uuid.UUID | None) -> tuple[Session | None, list[Step]]:
    """Return a session, the newest own one where none is named, and its last steps in order; raises NotFound.

    Proposals that are too old are expired before they are shown. Of what a process left that died, a run is given up,
    and a result is answered from without the model.
    """
    known = steps.sessions_of(person).select_related("owner").prefetch_related("shares__person")
    session = known.filter(pk=session_id).first() if session_id else known.filter(owner_id=person.id).first()
    if session is None:
        if session_id:
            raise steps.no_session()
        return None, []
    if session.owner_id == person.id:
        _settle(person, session)
    newest = steps.with_marks().filter(session=session).order_by("-number")[:STEPS_SHOWN]
    return session, list(reversed(newest))


def _settle(person: Person, session: Session) -> None:
    for step in session.steps.filter(state=State.PROPOSED, expires_at__lte=timezone.now()):
        steps.expire(person, step)
    abandoned = session.steps.filter(decided_at__lte=timezone.now() - ABANDONED)
    for step in abandoned.filter(state=State.EXECUTED):
        outcomes.answer_by_rule(person, step, "The server stopped before the model had answered.")
    for step in abandoned.filter(state=State.APPROVED):
        outcomes.fail(person, step, say("The server stopped before this was done. Ask again."), "failed")
