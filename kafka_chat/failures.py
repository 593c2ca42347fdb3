"""What cannot be handled goes to the dead letters: the original bytes, and in the headers why.

The question that it was about, if there is one, fails: its visitor waits for nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import Message
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_noop

from config.observability import tracing
from kafka_chat import metrics, topics
from kafka_chat.clients import DeliveryFailed, Headers, Publisher
from kafka_chat.messages import Answer, UnreadableMessage
from kafka_chat.models import OPEN, ChatMessage

log = structlog.get_logger(__name__)

# Bad code must not drain a topic into the dead letters.
MAX_IN_A_ROW = 20
UNREADABLE = gettext_noop("Your question could not be read on its way to the model. Please ask again.")
# What the headers of a dead letter have besides the message's own.
ORIGIN = ("dead_topic", "dead_partition", "dead_offset", "dead_error")
_PAUSE = 1.0


class TooManyDeadLetters(Exception):
    """So many messages in a row could not be handled that the fault is probably ours."""


class DeadLetters:
    """Publishes dead letters, and counts those that came without a good message in between."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._in_a_row = 0

    def reset(self) -> None:
        """A message was handled."""
        self._in_a_row = 0

    async def bury(self, message: Message, error: Exception) -> None:
        """Publish a message as a dead letter; waits for the servers as long as it takes.

        Raises TooManyDeadLetters instead where `MAX_IN_A_ROW` have gone before it; the message stays uncommitted.
        """
        if self._in_a_row >= MAX_IN_A_ROW:
            raise TooManyDeadLetters(f"{self._in_a_row} messages in a row could not be handled")
        self._in_a_row += 1
        metrics.note_dead_letter(message.topic() or "")
        log.error("dead letter", topic=message.topic(), offset=message.offset(), error=_reason(error))
        headers = headers_of(message) | {
            "dead_topic": message.topic() or "",
            "dead_partition": str(message.partition()),
            "dead_offset": str(message.offset()),
            "dead_error": _reason(error),
        }
        await _insist(
            lambda: self._publisher.send(topics.DEAD_LETTERS, key=message.key(), value=message.value(), headers=headers)
        )
        if isinstance(error, UnreadableMessage):
            await _insist(lambda: self._fail_question(message))

    async def _fail_question(self, message: Message) -> None:
        """Publish a failure of the question that a message is about, for the persist role to store."""
        message_id = question_of(message)
        row = message_id and await database_sync_to_async(_open_question)(message_id)
        if row:
            failure = Answer(
                message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, error=UNREADABLE
            )
            await self._publisher.send(
                topics.ANSWERS, key=failure.key(), value=failure.encode(), headers=failure.headers()
            )


def headers_of(message: Message) -> dict[str, str | bytes | None]:
    """Return a message's headers as they are."""
    # A consumed message has its headers as pairs; the library's type allows what may be given to a producer too.
    return dict(cast(list[tuple[str, bytes | None]], message.headers() or []))


def question_of(message: Message) -> UUID | None:
    """Return the question that a message says in its headers it is about."""
    return ids_of(message).get("message_id")


def ids_of(message: Message) -> dict[str, UUID]:
    """Return the ids that a message has in its headers, as far as they are some: `message_id` and `trace_id`."""
    headers = headers_of(message)
    ids = {}
    for name in ("message_id", "trace_id"):
        header = headers.get(name)
        with suppress(ValueError, AttributeError, TypeError):
            ids[name] = UUID(header.decode() if isinstance(header, bytes) else header)
    return ids


def traceparent_of(message: Message) -> str | bytes | None:
    """Return which span published a message, as far as it says so in its headers."""
    return headers_of(message).get(tracing.HEADER)


def original(headers: Headers) -> Headers:
    """Return the headers that a dead letter had while it lived."""
    return {name: value for name, value in headers.items() if name not in ORIGIN}


def _open_question(message_id: UUID) -> ChatMessage | None:
    return ChatMessage.objects.filter(message_id=message_id, status__in=OPEN).first()


async def _insist(attempt: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await attempt()
        except (DeliveryFailed, OperationalError, InterfaceError) as error:
            log.warning("a dead letter waits for a server, trying again", error=type(error).__name__)
            await asyncio.sleep(_PAUSE)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
