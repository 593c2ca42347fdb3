"""Letting other analysts read a conversation, one by one, until that is taken back."""

import uuid

from channels.db import database_sync_to_async
from django.db import transaction

from config.sentences import say
from data_agent import access, audit, steps
from data_agent.audit import Person
from data_agent.errors import NotFound
from data_agent.models import Session, Share

MOST = 50


@database_sync_to_async
def share(person: Person, session_id: uuid.UUID, name: str) -> tuple[str, ...]:
    """Let an analyst read a conversation; return the names of all who may.

    Raises NotFound for a conversation that is not this person's, and for a name that is no analyst's.
    """
    with transaction.atomic():
        session = steps.own_session(person, session_id, lock=True)
        other = access.analyst_named(name)
        if other is None or other.pk == person.id:
            raise NotFound(
                say("There is no other analyst with the user name “%(name)s”. Check how it is written.", name=name)
            )
        if session.shares.count() >= MOST:
            raise NotFound(
                say(
                    "A conversation can be shared with %(most)s analysts. Take it back from one of them first.",
                    most=MOST,
                )
            )
        _, is_new = Share.objects.get_or_create(session=session, person=other)
        if is_new:
            _record("shared", person, session, other.get_username())
    return _names(session)


@database_sync_to_async
def unshare(person: Person, session_id: uuid.UUID, name: str) -> tuple[str, ...]:
    """Take that back; return the names of all who still may. A name that could not read it changes nothing."""
    with transaction.atomic():
        session = steps.own_session(person, session_id, lock=True)
        deleted, _ = session.shares.filter(person__username=name).delete()
        if deleted:
            _record("unshared", person, session, name)
    return _names(session)


def _names(session: Session) -> tuple[str, ...]:
    return tuple(session.shares.order_by("created_at", "id").values_list("person__username", flat=True))


def _record(kind: audit.Kind, person: Person, session: Session, name: str) -> None:
    audit.record(kind, person, session_id=session.pk, question=session.title, verdict={"with": name})
