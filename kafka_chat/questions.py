"""What happens to a question but for its answer: stopped, swept up, asked again, read back, rated.

Every transition is one conditional UPDATE, so that two workers, or one message delivered twice, change a row once.
`asking` is about how it is asked, `claims` about who answers a question, `results` about what came of it.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from config import ratings
from kafka_chat import endings, outbox, results, topics
from kafka_chat.models import OPEN, PLACEHOLDER, WITH_ANSWER, ChatMessage, OutboxEntry, Status
from llm.memory import MAX_TURNS, Turn

# A question whose workers died this often is given up.
MAX_ATTEMPTS = 5
GIVEN_UP = "The answer could not be made, although it was tried several times. Please ask again."


def stop(message_id: uuid.UUID, status: Status, text: str) -> ChatMessage | None:
    """Stop a question that nobody writes an answer to; returns its row, None where it is not in that status any more.

    `text` is what its visitor has seen of an answer.
    """
    for row in _finish({message_id: results.stopped(text)}, [status]):
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
            lease_until=timezone.now() + results.unclaimed(),
        )
        if send:
            outbox.add(topics.QUESTIONS, [results.as_message(row) for row in rows])


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
        results.send(again)
        given_up = _finish({row.message_id: results.failed(GIVEN_UP) for row in hopeless}, OPEN)
    for row in given_up:
        async_to_sync(endings.announce)(row)
    return len(again), len(given_up)


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


def rate(session_id: uuid.UUID, message_id: uuid.UUID, rating: str, comment: str) -> bool:
    """Store what a visitor thinks of the answer to their question; returns whether there is such a finished one."""
    mine = ChatMessage.objects.filter(message_id=message_id, session_id=session_id).exclude(status__in=OPEN)
    return ratings.rate(mine, rating, comment)


def turns(session_id: uuid.UUID) -> list[Turn]:
    """Return a visitor's latest answered questions, for a model to be reminded of. What was stopped counts as seen."""
    rows = ChatMessage.objects.filter(session_id=session_id, status__in=WITH_ANSWER)
    latest = rows.order_by("-message_id").values_list("message_id", "message", "response")[:MAX_TURNS]
    return [Turn(str(message_id), message, response) for message_id, message, response in latest]


def _finish(made: Mapping[uuid.UUID, Mapping[str, Any]], statuses: Collection[Status]) -> list[ChatMessage]:
    """End those of these questions that are in one of these statuses, and send their visitors' next ones."""
    if not made:
        return []
    with transaction.atomic():
        ended = results.store(made, statuses).execute_here()
        results.send_next({one.row.session_id for one in ended if one.asked_more})
    return [one.row for one in ended]


def _abandoned(now: datetime) -> Q:
    never_leased = Q(lease_until__isnull=True, created_at__lt=now - results.unclaimed())
    return Q(status__in=OPEN) & (Q(lease_until__lt=now) | never_leased)


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
