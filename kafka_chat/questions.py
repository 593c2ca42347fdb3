"""What happens to a question: asked, claimed, answered or failed, read back.

Every transition is one conditional UPDATE, so that two workers, or one message delivered twice, change a row once.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from kafka_chat import messages, outbox, topics, waiting
from kafka_chat.models import OPEN, ChatMessage, Status

# A worker that is silent for this long has died; it renews its lease well before.
LEASE = timedelta(seconds=30)
# A question that nobody has claimed for this long is sent again: its Kafka message may be lost with the broker.
UNCLAIMED = timedelta(seconds=60)
# A question whose workers died this often is given up.
MAX_ATTEMPTS = 5
GIVEN_UP = "The answer could not be made, although it was tried several times. Please ask again."


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer, from earlier in the conversation."""

    message: str
    response: str


def ask(session_id: uuid.UUID, text: str, *, idempotency_key: str | None = None) -> ChatMessage:
    """Store a question and its outbox entry in one transaction.

    The same key from the same visitor gives the same row back, and sends nothing again.
    """
    row = ChatMessage(session_id=session_id, message=text, idempotency_key=idempotency_key)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            outbox.add(topics.QUESTIONS, [_as_message(row)])
    except IntegrityError:
        earlier = ChatMessage.objects.filter(session_id=session_id, idempotency_key=idempotency_key).first()
        if idempotency_key is None or earlier is None:
            raise
        return earlier
    return row


def claim(message_id: uuid.UUID) -> bool:
    """Take a question for answering; returns False where it is finished or in other hands.

    Raises ChatMessage.DoesNotExist where there is no such row.
    """
    now = timezone.now()
    claimed = (
        ChatMessage.objects.filter(message_id=message_id)
        .filter(Q(status=Status.QUEUED) | Q(status=Status.GENERATING, lease_until__lt=now))
        .update(status=Status.GENERATING, lease_until=now + LEASE, attempts=F("attempts") + 1, picked_up_at=now)
    )
    if not claimed and not ChatMessage.objects.filter(message_id=message_id).exists():
        raise ChatMessage.DoesNotExist(message_id)
    return bool(claimed)


def renew_lease(message_id: uuid.UUID) -> None:
    """Say that the worker is still alive."""
    _generating(message_id).update(lease_until=timezone.now() + LEASE)


def release(message_id: uuid.UUID) -> None:
    """Give a claimed question back, unanswered."""
    _generating(message_id).update(status=Status.QUEUED, lease_until=timezone.now())


def record(answer: messages.Answer) -> bool:
    """Store what came of a question; returns False where it was finished already.

    Raises ChatMessage.DoesNotExist where there is no such row.
    """
    made = {
        "provider": answer.provider,
        "model": answer.model,
        "fallback": answer.fallback,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "first_token_at": answer.first_token_at,
        "lease_until": None,
    }
    if answer.error:
        made |= {"status": Status.FAILED, "response": "", "error": answer.error}
    else:
        made |= {"status": Status.ANSWERED, "response": answer.response, "answered_at": timezone.now()}
    with transaction.atomic():
        stored = ChatMessage.objects.filter(message_id=answer.message_id, status__in=OPEN).update(**made)
        if stored:
            _tell_who_waits([answer.message_id])
    if not stored and not ChatMessage.objects.filter(message_id=answer.message_id).exists():
        raise ChatMessage.DoesNotExist(answer.message_id)
    return bool(stored)


def sweep() -> tuple[int, int]:
    """Send again what no worker holds, and give up what failed too often; returns both numbers.

    A row is taken by pushing its lease into the future, so several sweepers do not send it twice.
    """
    now = timezone.now()
    with transaction.atomic():
        abandoned = list(
            ChatMessage.objects.select_for_update(skip_locked=True)
            .filter(_abandoned(now))
            .order_by("created_at")[: outbox.BATCH]
        )
        hopeless = [row.pk for row in abandoned if row.attempts >= MAX_ATTEMPTS]
        again = [row for row in abandoned if row.attempts < MAX_ATTEMPTS]
        ChatMessage.objects.filter(pk__in=hopeless).update(
            status=Status.FAILED, response="", error=GIVEN_UP, lease_until=None
        )
        _tell_who_waits(hopeless)
        ChatMessage.objects.filter(pk__in=[row.pk for row in again]).update(
            status=Status.QUEUED, lease_until=now + UNCLAIMED
        )
        outbox.add(topics.QUESTIONS, [_as_message(row) for row in again])
    return len(again), len(hopeless)


def find(session_id: uuid.UUID, message_id: uuid.UUID) -> ChatMessage | None:
    """Return a visitor's own question, None where it is somebody else's or does not exist."""
    return ChatMessage.objects.filter(session_id=session_id, message_id=message_id).first()


def history(session_id: uuid.UUID, limit: int = 20) -> list[ChatMessage]:
    """Return a visitor's latest questions, oldest first."""
    return list(ChatMessage.objects.filter(session_id=session_id).order_by("-created_at")[:limit])[::-1]


def conversation_before(message: messages.Question, limit: int = 6) -> list[Turn]:
    """Return the answered turns before a question, oldest first."""
    rows = ChatMessage.objects.filter(
        session_id=message.session_id, status=Status.ANSWERED, message_id__lt=message.message_id
    ).order_by("-message_id")[:limit]
    return [Turn(row.message, row.response) for row in rows][::-1]


def _as_message(row: ChatMessage) -> messages.Question:
    return messages.Question(
        message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, message=row.message
    )


def _tell_who_waits(message_ids: Iterable[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        for message_id in message_ids:
            cursor.execute("SELECT pg_notify(%s, %s)", [waiting.CHANNEL, str(message_id)])


def _generating(message_id: uuid.UUID) -> QuerySet[ChatMessage]:
    return ChatMessage.objects.filter(message_id=message_id, status=Status.GENERATING)


def _abandoned(now: datetime) -> Q:
    never_leased = Q(lease_until__isnull=True, created_at__lt=now - UNCLAIMED)
    return Q(status__in=OPEN) & (Q(lease_until__lt=now) | never_leased)
