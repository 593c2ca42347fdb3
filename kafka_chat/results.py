"""What came of questions: stored once, whoever comes first, and their visitors' next questions sent.

Every end is one conditional UPDATE of an open row. A visitor may have asked more meanwhile; the statement says so with
the change itself, which costs no other one.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from kafka_chat import messages, metrics, outbox, topics
from kafka_chat.gathering import Gathering
from kafka_chat.models import OPEN, ChatMessage, Status
from kafka_chat.statements import Row, Statement
from llm.timelines import marks

# What a row keeps of its result, and of which type that is.
_KEPT = {
    "status": "text",
    "response": "text",
    "error": "text",
    "provider": "text",
    "model": "text",
    "fallback": "boolean",
    "prompt_tokens": "integer",
    "completion_tokens": "integer",
    "first_token_at": "timestamptz",
    "answered_at": "timestamptz",
}
_FIELDS = [field.attname for field in ChatMessage._meta.concrete_fields]
_STORE = f"""
    UPDATE kf_chatmessage AS this SET {", ".join(f"{name} = made.{name}" for name in _KEPT)}, lease_until = NULL
    FROM jsonb_to_recordset(%(made)s::jsonb)
        AS made (message_id uuid, {", ".join(f"{name} {type_}" for name, type_ in _KEPT.items())})
    WHERE this.message_id = made.message_id AND this.status = ANY(%(open)s)
    RETURNING {", ".join(f"this.{name}" for name in _FIELDS)}, EXISTS (
        SELECT FROM kf_chatmessage AS other WHERE other.session_id = this.session_id
        AND other.status = 'queued' AND other.message_id <> ALL(%(ids)s)
    )
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """The row of a question that has ended just now, and whether its visitor has another one that waits."""

    row: ChatMessage
    asked_more: bool


def store(made: Mapping[UUID, Mapping[str, Any]], statuses: Collection[Status] = OPEN) -> Statement[list[Stored]]:
    """End those of these questions that are in one of these statuses; returns them."""
    rows = [{"message_id": str(message_id), **result} for message_id, result in made.items()]
    return Statement(
        _STORE,
        {"made": json.dumps(rows), "open": [status.value for status in statuses], "ids": list(made)},
        _stored,
    )


def of(answer: messages.Answer) -> dict[str, Any]:
    """Return what a row keeps of an answer or a failure."""
    made = {
        "provider": answer.provider,
        "model": answer.model,
        "fallback": answer.fallback,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "first_token_at": answer.first_token_at and answer.first_token_at.isoformat(),
    }
    if answer.error:
        return failed(answer.error) | made
    status = Status.STOPPED if answer.stopped else Status.ANSWERED
    return _ended(status, answer.response) | made


def failed(sentence: str) -> dict[str, Any]:
    """Return what a row keeps of a failure, which a sentence tells the visitor."""
    return _result(status=Status.FAILED, error=sentence)


def stopped(text: str) -> dict[str, Any]:
    """Return what a row keeps of a question that was stopped; `text` is what its visitor has seen of an answer."""
    return _ended(Status.STOPPED, text)


def send_next(session_ids: Iterable[UUID]) -> None:
    """Send the next questions of visitors who had to wait for the end of an earlier one."""
    for session_id in session_ids:
        following = ChatMessage.objects.filter(session_id=session_id, status__in=OPEN).order_by("message_id")[:1]
        send([row for row in following if row.status == Status.QUEUED])


def send(rows: Sequence[ChatMessage]) -> None:
    """Send questions once more; until their lease ends the message counts as on its way."""
    ChatMessage.objects.filter(pk__in=[row.pk for row in rows]).update(
        status=Status.QUEUED, lease_until=timezone.now() + unclaimed()
    )
    outbox.add(topics.QUESTIONS, [as_message(row) for row in rows])


def as_message(row: ChatMessage) -> messages.Question:
    """Return the message that asks a question."""
    return messages.Question(
        message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, message=row.message
    )


def unclaimed() -> timedelta:
    """Return how long a message may be on its way: it may be lost with the broker."""
    return timedelta(seconds=settings.KAFKA_UNCLAIMED_SECONDS)


class Results:
    """Stores the results that a worker gets, for many questions at once.

    Raises Django's OperationalError or InterfaceError where PostgreSQL is away.
    """

    def __init__(self) -> None:
        self._storing = Gathering(self._store)

    async def store(self, answer: messages.Answer) -> Stored | None:
        """Store what came of a question; None where it had ended already, or there is no such row."""
        return await self._storing.ask(answer)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._storing.aclose()

    async def _store(self, answers: Sequence[messages.Answer]) -> list[Stored | None]:
        made: dict[UUID, Mapping[str, Any]] = {}
        for answer in answers:
            # Of several answers to one question the first counts.
            made.setdefault(answer.message_id, of(answer))
        stored = {one.row.message_id: one for one in await store(made).execute()}
        return [stored.pop(answer.message_id, None) for answer in answers]


def _stored(rows: Sequence[Row]) -> list[Stored]:
    stored = [Stored(ChatMessage.from_db("default", _FIELDS, row[:-1]), row[-1]) for row in rows]
    for each in stored:
        metrics.note_end(each.row)
        marks.note(each.row.trace_id, "stored", outcome=each.row.status)
    return stored


def _ended(status: Status, text: str) -> dict[str, Any]:
    return _result(status=status, response=text, answered_at=timezone.now().isoformat())


def _result(**result: Any) -> dict[str, Any]:
    """Return a whole result: what is not named is as in a new row, but there is no placeholder any more."""
    empty = dict.fromkeys(("response", "error", "provider", "model"), "")
    return dict.fromkeys(_KEPT) | empty | {"fallback": False} | result
