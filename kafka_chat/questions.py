"""What happens to a question: asked, claimed, answered or failed, read back.

Every transition is one conditional UPDATE, so that two workers, or one message delivered twice, change a row once.

A visitor's questions are begun one after the other, whatever happens to Kafka's order: none is claimed while an earlier
one is open. The message of one whose turn has not come is passed over, and the end of the earlier one sends it again.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone
from uuid_utils.compat import uuid7

from kafka_chat import endings, messages, outbox, topics
from kafka_chat.models import OPEN, PLACEHOLDER, WITH_ANSWER, ChatMessage, OutboxEntry, Status
from llm.memory import MAX_TURNS, Turn

# A question whose workers died this often is given up.
MAX_ATTEMPTS = 5
GIVEN_UP = "The answer could not be made, although it was tried several times. Please ask again."

# Says with the change itself, which costs no statement, whether there are earlier answers to be reminded of.
_CLAIM = """
    UPDATE kf_chatmessage AS this
    SET status = 'generating', lease_until = %(lease_until)s, attempts = attempts + 1, picked_up_at = %(now)s
    WHERE message_id = %(message_id)s AND (status = 'queued' OR status = 'generating' AND lease_until < %(now)s)
    AND NOT EXISTS (
        SELECT FROM kf_chatmessage AS earlier WHERE earlier.session_id = this.session_id
        AND earlier.message_id < this.message_id AND earlier.status IN ('queued', 'generating')
    )
    RETURNING EXISTS (
        SELECT FROM kf_chatmessage AS other WHERE other.session_id = this.session_id
        AND other.status IN ('answered', 'stopped')
    )
"""
# The visitor may have asked more meanwhile. Said with the change itself, that costs no statement.
_FINISH = """
    UPDATE kf_chatmessage SET {assignments} WHERE message_id = ANY(%s) AND status = ANY(%s) RETURNING *, EXISTS (
        SELECT FROM kf_chatmessage AS other WHERE other.session_id = kf_chatmessage.session_id
        AND other.status = %s AND other.message_id <> ALL(%s)
    ) AS asked_more
"""


class Claim(NamedTuple):
    """A question is taken for answering; `remembers` says whether its visitor has answers from before."""

    remembers: bool


def ask(
    session_id: uuid.UUID, text: str, *, idempotency_key: str | None = None, message_id: uuid.UUID | None = None
) -> ChatMessage:
    """Store a question and its outbox entry in one statement.

    The same key from the same visitor gives the same row back, and sends nothing again.
    """
    row = ChatMessage(
        message_id=message_id or uuid7(), session_id=session_id, message=text, idempotency_key=idempotency_key
    )
    try:
        with transaction.atomic():
            outbox.store_with(row, topics.QUESTIONS, _as_message(row))
    except IntegrityError:
        earlier = find_asked(session_id, idempotency_key)
        if earlier is None:
            raise
        return earlier
    return row


def find_asked(session_id: uuid.UUID, idempotency_key: str | None) -> ChatMessage | None:
    """Return the question that a visitor has asked with this key, if there is one."""
    if idempotency_key is None:
        return None
    return ChatMessage.objects.filter(session_id=session_id, idempotency_key=idempotency_key).first()


def claim(message_id: uuid.UUID) -> Claim | None:
    """Take a question for answering; returns None where it is finished, in other hands, or not its visitor's next.

    Raises ChatMessage.DoesNotExist where there is no such row.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"message_id": message_id, "now": now, "lease_until": now + lease()})
        if (claimed := cursor.fetchone()) is not None:
            return Claim(*claimed)
    this = ChatMessage.objects.filter(message_id=message_id)
    # No message is on its way any more. If the earlier question ended in this moment, the sweep sees it.
    early = this.filter(status=Status.QUEUED).update(lease_until=now)
    if not early and not this.exists():
        raise ChatMessage.DoesNotExist(message_id)
    return None


def lease() -> timedelta:
    """Return how long a worker that is silent counts as alive."""
    return timedelta(seconds=settings.KAFKA_LEASE_SECONDS)


def renew_lease(message_id: uuid.UUID) -> None:
    """Say that the worker is still alive."""
    _generating(message_id).update(lease_until=timezone.now() + lease())


def release(message_id: uuid.UUID) -> None:
    """Give a claimed question back, unanswered."""
    _generating(message_id).update(status=Status.QUEUED, lease_until=timezone.now())


def record(answer: messages.Answer) -> ChatMessage | None:
    """Store what came of a question; returns its row, None where it was finished already.

    Raises ChatMessage.DoesNotExist where there is no such row.
    """
    made: dict[str, Any] = {
        "provider": answer.provider,
        "model": answer.model,
        "fallback": answer.fallback,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "first_token_at": answer.first_token_at,
    }
    if answer.error:
        made |= {"status": Status.FAILED, "response": "", "error": answer.error}
    else:
        status = Status.STOPPED if answer.stopped else Status.ANSWERED
        made |= {"status": status, "response": answer.response, "answered_at": timezone.now()}
    for row in _finish([answer.message_id], OPEN, made):
        return row
    if not ChatMessage.objects.filter(message_id=answer.message_id).exists():
        raise ChatMessage.DoesNotExist(answer.message_id)
    return None


def stop(message_id: uuid.UUID, status: Status, text: str) -> ChatMessage | None:
    """Stop a question that nobody writes an answer to; returns its row, None where it is not in that status any more.

    `text` is what its visitor has seen of an answer.
    """
    made = {"status": Status.STOPPED, "response": text, "answered_at": timezone.now()}
    for row in _finish([message_id], [status], made):
        return row
    return None


def ask_again(rows: Sequence[ChatMessage], *, send: bool = True) -> None:
    """Open failed questions again, as if they had just been asked; with `send` off a message is on its way already.

    Their runs must have been forgotten.
    """
    ids = [row.pk for row in rows]
    with transaction.atomic():
        ChatMessage.objects.filter(pk__in=ids).update(
            status=Status.QUEUED,
            response=PLACEHOLDER,
            error="",
            attempts=0,
            lease_until=timezone.now() + _unclaimed(),
        )
        if send:
            outbox.add(topics.QUESTIONS, [_as_message(row) for row in rows])


def sweep() -> tuple[int, int]:
    """Send again what no worker holds and no relay will send, and give up what failed too often; returns both numbers.

    A row is taken by pushing its lease into the future, so several sweepers do not send it twice.
    """
    now = timezone.now()
    with transaction.atomic():
        abandoned = list(
            ChatMessage.objects.select_for_update(skip_locked=True)
            .filter(_abandoned(now) & ~_earlier_open() & ~_waits_in_outbox())
            .order_by("created_at")[: outbox.BATCH]
        )
        hopeless = [row for row in abandoned if row.attempts >= MAX_ATTEMPTS]
        again = [row for row in abandoned if row.attempts < MAX_ATTEMPTS]
        _send(again)
        given_up = _finish(
            [row.message_id for row in hopeless], OPEN, {"status": Status.FAILED, "response": "", "error": GIVEN_UP}
        )
    for row in given_up:
        async_to_sync(endings.announce)(row)
    return len(again), len(given_up)


def find(session_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
    """Return a visitor's own question, None where it is somebody else's or does not exist."""
    return ChatMessage.objects.filter(session_id=session_id, message_id=message_id).first()


def get(message_id: uuid.UUID) -> ChatMessage:
    """Return a question, whoever asked it; raises ChatMessage.DoesNotExist."""
    return ChatMessage.objects.get(message_id=message_id)


def is_open(message_id: uuid.UUID) -> bool:
    """Return whether a question still waits for what becomes of it."""
    return ChatMessage.objects.filter(message_id=message_id, status__in=OPEN).exists()


def history(session_id: uuid.UUID, limit: int = 20, *, before: uuid.UUID | None = None) -> list[ChatMessage]:
    """Return a visitor's latest questions, oldest first; with `before`, the latest that were asked before that one."""
    rows = ChatMessage.objects.filter(session_id=session_id)
    if before is not None:
        rows = rows.filter(message_id__lt=before)
    return list(rows.order_by("-message_id")[:limit])[::-1]


def turns(session_id: uuid.UUID) -> list[Turn]:
    """Return a visitor's latest answered questions, for a model to be reminded of. What was stopped counts as seen."""
    rows = ChatMessage.objects.filter(session_id=session_id, status__in=WITH_ANSWER)
    latest = rows.order_by("-message_id").values_list("message_id", "message", "response")[:MAX_TURNS]
    return [Turn(str(message_id), message, response) for message_id, message, response in latest]


def _as_message(row: ChatMessage) -> messages.Question:
    return messages.Question(
        message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, message=row.message
    )


def _finish(message_ids: Sequence[uuid.UUID], statuses: Sequence[Status], made: Mapping[str, Any]) -> list[ChatMessage]:
    """Finish those of these questions that are in one of these statuses, and send their visitors' next ones."""
    if not message_ids:
        return []
    made = {**made, "lease_until": None}
    statement = _FINISH.format(assignments=", ".join(f"{name} = %s" for name in made))
    ids = list(message_ids)
    open_ones = [status.value for status in statuses]
    values = [value.value if isinstance(value, Status) else value for value in made.values()]
    with transaction.atomic():
        rows = list(ChatMessage.objects.raw(statement, [*values, ids, open_ones, Status.QUEUED.value, ids]))
        for session_id in {row.session_id for row in rows if vars(row)["asked_more"]}:
            following = ChatMessage.objects.filter(session_id=session_id, status__in=OPEN).order_by("message_id")[:1]
            _send([row for row in following if row.status == Status.QUEUED])
    return rows


def _send(rows: Sequence[ChatMessage]) -> None:
    """Send questions once more; until their lease ends the message counts as on its way."""
    ChatMessage.objects.filter(pk__in=[row.pk for row in rows]).update(
        status=Status.QUEUED, lease_until=timezone.now() + _unclaimed()
    )
    outbox.add(topics.QUESTIONS, [_as_message(row) for row in rows])


def _generating(message_id: uuid.UUID) -> QuerySet[ChatMessage]:
    return ChatMessage.objects.filter(message_id=message_id, status=Status.GENERATING)


def _abandoned(now: datetime) -> Q:
    never_leased = Q(lease_until__isnull=True, created_at__lt=now - _unclaimed())
    return Q(status__in=OPEN) & (Q(lease_until__lt=now) | never_leased)


def _unclaimed() -> timedelta:
    """Return how long a message may be on its way: it may be lost with the broker."""
    return timedelta(seconds=settings.KAFKA_UNCLAIMED_SECONDS)


def _earlier_open() -> Exists:
    """Whether the same visitor has an earlier question that is not finished. Ids are in the order of asking."""
    return Exists(
        ChatMessage.objects.filter(
            session_id=OuterRef("session_id"), message_id__lt=OuterRef("message_id"), status__in=OPEN
        )
    )


def _waits_in_outbox() -> Exists:
    """Whether a relay will send the question anyway, once it reaches the broker."""
    unsent = OutboxEntry.objects.filter(sent_at=None).alias(of=KT("headers__message_id"))
    return Exists(unsent.filter(of=Cast(OuterRef("message_id"), TextField())))
