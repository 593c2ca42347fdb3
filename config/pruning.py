"""Deleting what is older than it need be, while everything else runs.

Rows go in batches, each in a transaction of its own, so that no lock lasts, an interrupted run has done what it said,
and the next one goes on. A row that somebody else holds is left for the next run: nobody waits.

Ages are those of the ids where these are UUIDv7, which are in the order of time: the primary key finds old rows, and
nothing reads the whole table. Timelines have an index of their own for it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from config.ids import first_id
from data_agent import checkpoints
from data_agent.models import Session
from kafka_chat.models import OPEN, OutboxEntry
from kafka_chat.models import ChatMessage as Question
from llm.models import Call
from llm.timelines.models import Timeline
from ws_chat.models import ChatMessage as Run
from ws_chat.models import ConversationStart

# Rows of one transaction.
BATCH = 1000

Rows = QuerySet[Any]


def _delete(rows: Rows, batch: int) -> int:
    with transaction.atomic():
        # Locked first: what has changed meanwhile, such as a failed question that is asked again, is not old any more.
        ids = list(rows.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True)[:batch])
        rows.model._base_manager.filter(pk__in=ids).delete()
    return len(ids)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rows: what people call it, the setting with the days it is kept, and those from before a moment.

    `delete` removes so many of them at most, in one transaction, and says how many it were.
    """

    name: str
    setting: str
    older_than: Callable[[datetime], Rows]
    delete: Callable[[Rows, int], int] = _delete

    @property
    def days(self) -> int:
        """Days that these rows are kept, 0 for ever."""
        days: int = getattr(settings, self.setting)
        return days


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be deleted of a kind: rows from before a moment, which is None where the kind is kept for ever."""

    kind: Kind
    before: datetime | None
    rows: int


def plan(kinds: Iterable["Kind"] | None = None, now: datetime | None = None) -> list[Plan]:
    """Return what there is to delete now: of all kinds but the audit log, unless others are named."""
    now = now or timezone.now()
    plans = []
    for kind in KINDS if kinds is None else kinds:
        before = now - timedelta(days=kind.days) if kind.days else None
        plans.append(Plan(kind, before, kind.older_than(before).count() if before else 0))
    return plans


def prune(planned: Plan, batch: int = BATCH) -> Iterator[int]:
    """Delete what is planned; yields the number of rows of each transaction, once it is over."""
    if planned.before is None:
        return
    while deleted := planned.kind.delete(planned.kind.older_than(planned.before), batch):
        yield deleted


def _questions(before: datetime) -> Rows:
    # An open one belongs to the workers, however old it is.
    return Question.objects.filter(message_id__lt=first_id(before)).exclude(status__in=OPEN)


def _outbox(before: datetime) -> Rows:
    return OutboxEntry.objects.filter(sent_at__lt=before)


def _runs(before: datetime) -> Rows:
    return Run.objects.filter(run_id__lt=first_id(before))


def _starts(before: datetime) -> Rows:
    # All that such a row hides is as old as it is.
    return ConversationStart.objects.filter(after__lt=first_id(before))


def _timelines(before: datetime) -> Rows:
    return Timeline.objects.filter(asked_at__lt=before)


def _calls(before: datetime) -> Rows:
    return Call.objects.filter(call_id__lt=first_id(before))


def _analyses(before: datetime) -> Rows:
    # One that goes on is as old as its latest question. Their steps, results and shares go with them.
    return Session.objects.filter(id__lt=first_id(before)).exclude(steps__id__gte=first_id(before))


KINDS = (
    Kind("Kafka chat: questions and answers", "RETENTION_CHATS_DAYS", _questions),
    Kind("Kafka chat: messages that were sent", "RETENTION_CHATS_DAYS", _outbox),
    Kind("WebSocket chat: questions and answers", "RETENTION_CHATS_DAYS", _runs),
    Kind("WebSocket chat: where conversations begin", "RETENTION_CHATS_DAYS", _starts),
    Kind("Timelines of answers", "RETENTION_CHATS_DAYS", _timelines),
    Kind("Ledger of model calls", "RETENTION_CALLS_DAYS", _calls),
    Kind("Data agent: conversations", "RETENTION_AGENT_DAYS", _analyses),
)
# By a rule of its own, and for the owner of the table alone.
AUDIT = Kind("Data agent: audit log", "RETENTION_AUDIT_DAYS", checkpoints.before, checkpoints.remove)
