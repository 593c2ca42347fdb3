"""Who holds a question: a worker claims it for a while, says that it is still at it, and may give it back.

A claim is a lease on the row, taken by one conditional UPDATE, so a message that is delivered twice is answered once.
A visitor's questions are begun one after the other, whatever happens to Kafka's order: none is claimed while an earlier
one is open. The message of one whose turn has not come is passed over, and the end of the earlier one sends it again.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from config.observability import correlation
from kafka_chat.gathering import Gathering
from kafka_chat.models import ChatMessage
from kafka_chat.statements import Statement

# How often in the time of a lease is looked which leases must be renewed, and after which part of that time they are.
_LOOKS = 6
_RENEWED_AFTER = 1 / 3

# Of two questions of one visitor in one statement only the earlier one is claimed: the statement does not see what it
# changes itself. Says with the change, which costs no statement, whether there are answers to be reminded of.
_CLAIM = """
    UPDATE kf_chatmessage AS this
    SET status = 'generating', lease_until = %(lease_until)s, attempts = attempts + 1, picked_up_at = %(now)s
    WHERE message_id = ANY(%(ids)s) AND (status = 'queued' OR status = 'generating' AND lease_until < %(now)s)
    AND NOT EXISTS (
        SELECT FROM kf_chatmessage AS earlier WHERE earlier.session_id = this.session_id
        AND earlier.message_id < this.message_id AND earlier.status IN ('queued', 'generating')
    )
    RETURNING message_id, EXISTS (
        SELECT FROM kf_chatmessage AS other WHERE other.session_id = this.session_id
        AND other.status IN ('answered', 'stopped')
    )
"""
# No message is on its way any more. If the earlier question ended in this moment, the sweep sees it.
_PASS_OVER = """
    WITH early AS (
        UPDATE kf_chatmessage SET lease_until = %(now)s WHERE message_id = ANY(%(ids)s) AND status = 'queued'
    )
    SELECT message_id FROM kf_chatmessage WHERE message_id = ANY(%(ids)s)
"""
_RENEW = """
    UPDATE kf_chatmessage SET lease_until = %(lease_until)s
    WHERE message_id = ANY(%(ids)s) AND status = 'generating' RETURNING message_id
"""
_RELEASE = """
    UPDATE kf_chatmessage SET status = 'queued', lease_until = %(now)s
    WHERE message_id = ANY(%(ids)s) AND status = 'generating' RETURNING message_id
"""


class Claim(NamedTuple):
    """A question is taken for answering; `remembers` says whether its visitor has answers from before."""

    remembers: bool


def lease() -> timedelta:
    """Return how long a worker that is silent counts as alive."""
    return timedelta(seconds=settings.KAFKA_LEASE_SECONDS)


def claim(ids: Collection[UUID]) -> Statement[dict[UUID, Claim]]:
    """Take questions for answering; returns those that are taken now.

    The others are finished, in other hands, not their visitors' next, or there is no such row.
    """
    now = timezone.now()
    return Statement(
        _CLAIM,
        {"ids": list(ids), "now": now, "lease_until": now + lease()},
        lambda rows: {message_id: Claim(remembers) for message_id, remembers in rows},
    )


def pass_over(ids: Collection[UUID]) -> Statement[set[UUID]]:
    """Say of questions that could not be taken that their messages have been read; returns those that have a row."""
    return Statement(_PASS_OVER, {"ids": list(ids), "now": timezone.now()}, _ids)


def renew(ids: Collection[UUID]) -> Statement[set[UUID]]:
    """Say that the workers of these questions are still alive; returns those that are being answered."""
    return Statement(_RENEW, {"ids": list(ids), "lease_until": timezone.now() + lease()}, _ids)


def release(ids: Collection[UUID]) -> Statement[set[UUID]]:
    """Give claimed questions back, unanswered; returns those that were being answered."""
    return Statement(_RELEASE, {"ids": list(ids), "now": timezone.now()}, _ids)


def _ids(rows: Sequence[tuple[UUID]]) -> set[UUID]:
    return {message_id for (message_id,) in rows}


class Claims:
    """The claims of one worker: taken for many questions at once, and renewed as long as they are held.

    Every method raises Django's OperationalError or InterfaceError where PostgreSQL is away.
    """

    def __init__(self) -> None:
        self._claiming = Gathering(self._claim)
        # What is held, with the moment (of the loop) of the last word on it.
        self._held: dict[UUID, float] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, message_id: UUID) -> Claim | None:
        """Claim a question and keep the claim alive; None where that cannot be, or not now.

        Raises ChatMessage.DoesNotExist where there is no such row.
        """
        claimed = await self._claiming.ask(message_id)
        if isinstance(claimed, Claim):
            self._held[message_id] = asyncio.get_running_loop().time()
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew())
        elif not claimed:
            raise ChatMessage.DoesNotExist(message_id)
        return claimed if isinstance(claimed, Claim) else None

    def let_go(self, message_id: UUID) -> None:
        """Renew a claim no more."""
        self._held.pop(message_id, None)

    async def give_back(self, message_id: UUID) -> None:
        """Give a claimed question back, unanswered."""
        self.let_go(message_id)
        await release([message_id]).execute()

    async def aclose(self) -> None:
        """End what is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._claiming.aclose()

    async def _claim(self, ids: Sequence[UUID]) -> list[Claim | bool]:
        """Return of each question its claim, or whether there is such a row."""
        claimed: Mapping[UUID, Claim] = await claim(ids).execute()
        others = [message_id for message_id in ids if message_id not in claimed]
        existing = await pass_over(others).execute() if others else set()
        taken: dict[UUID, Claim | None] = dict(claimed)
        # A question that was asked for twice is taken once.
        return [taken.pop(message_id, None) or message_id in existing or message_id in claimed for message_id in ids]

    async def _renew(self) -> None:
        correlation.forget()
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(lease().total_seconds() / _LOOKS)
            said_before = now() - lease().total_seconds() * _RENEWED_AFTER
            due = [message_id for message_id, said_at in self._held.items() if said_at <= said_before]
            # While PostgreSQL is away nobody else can claim them either.
            with suppress(OperationalError, InterfaceError):
                if due:
                    await renew(due).execute()
                    self._held |= {message_id: now() for message_id in due if message_id in self._held}
