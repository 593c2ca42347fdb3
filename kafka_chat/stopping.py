"""Stops a question at its visitor's wish, wherever it is: in the queue, being answered, or in the hands of the dead."""

import uuid

from asgiref.sync import sync_to_async

from kafka_chat import asking, endings, questions
from kafka_chat.models import OPEN, ChatMessage, Status
from llm import budgets, runs

# How often a stop is tried that comes in the moment of a change, which are few in a question's life.
_TRIES = 5


async def stop(session_id: uuid.UUID, message_id: uuid.UUID, seen: int) -> ChatMessage | None:
    """Stop a visitor's own question; returns its row, None where it is not theirs.

    A row that is still open is being answered: its worker stops, and stores the text up to the event number `seen`.
    Everything else is decided here and now, by one conditional change of the row, so no worker answers it later.
    Raises RedisError where it is being answered and Redis is away.
    """
    for _ in range(_TRIES):
        row = await asking.find(session_id, message_id)
        if row is None or row.status not in OPEN:
            break
        if row.status == Status.GENERATING and await runs.log().stop(message_id, seen):
            break
        # Nobody writes it. An earlier attempt may have shown something.
        text = (await runs.log().snapshot(message_id, seen)).text if row.attempts else ""
        stopped = await sync_to_async(questions.stop)(message_id, Status(row.status), text)
        if stopped is not None:
            # The question counts, the tokens do not.
            await budgets.settle(str(message_id), 0)
            await endings.announce(stopped)
            return stopped
    return row
