"""The end of a run: tells who holds a poll or reads along that a question is finished, and how.

It is said after the row is stored, never before: whoever is told may look, and finds it. It carries all that there is
to know, so nobody needs to look. Where it cannot be said, or nobody is left to say it, readers look at the row.
"""

import structlog
from redis.exceptions import RedisError

from kafka_chat.models import ChatMessage
from kafka_chat.states import describe
from llm import runs

log = structlog.get_logger(__name__)


async def announce(row: ChatMessage) -> None:
    """Tell the readers of a finished question. A second time says nothing."""
    try:
        await runs.log().end(row.message_id, row.status, describe(row))
    except RedisError as error:
        log.warning(
            "Redis is away, readers look at the row", message_id=str(row.message_id), error=type(error).__name__
        )
