"""What cannot be handled goes to the dead letters: the original bytes, and in the headers why."""

import asyncio
from collections.abc import Mapping
from typing import cast

import structlog
from confluent_kafka import Message

from kafka_chat import topics
from kafka_chat.clients import DeliveryFailed, Publisher

log = structlog.get_logger(__name__)

# Bad code must not drain a topic into the dead letters.
MAX_IN_A_ROW = 20
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
        """Publish a message as a dead letter; waits for the broker as long as it takes.

        Raises TooManyDeadLetters instead where `MAX_IN_A_ROW` have gone before it; the message stays uncommitted.
        """
        if self._in_a_row >= MAX_IN_A_ROW:
            raise TooManyDeadLetters(f"{self._in_a_row} messages in a row could not be handled")
        self._in_a_row += 1
        log.error("dead letter", topic=message.topic(), offset=message.offset(), error=_reason(error))
        while True:
            try:
                await self._publisher.send(
                    topics.DEAD_LETTERS, key=message.key(), value=message.value(), headers=headers_of(message, error)
                )
            except DeliveryFailed as failure:
                log.warning("the broker took no dead letter, trying again", error=str(failure))
                await asyncio.sleep(_PAUSE)
            else:
                return


def headers_of(message: Message, error: Exception) -> Mapping[str, str]:
    """Return the message's own headers, with where it came from and why it is dead."""
    # A consumed message has its headers as pairs; the library's type allows what may be given to a producer too.
    pairs = cast(list[tuple[str, bytes | None]], message.headers() or [])
    own = {name: (value or b"").decode("utf-8", "replace") for name, value in pairs}
    return own | {
        "dead_topic": message.topic() or "",
        "dead_partition": str(message.partition()),
        "dead_offset": str(message.offset()),
        "dead_error": _reason(error),
    }


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
