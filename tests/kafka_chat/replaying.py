"""`kafka_replay` run as operators run it, and waiting for what comes of it."""

import asyncio
import io
from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import connections

from kafka_chat import positions, replaying
from kafka_chat.models import OPEN, ChatMessage


async def replay(*arguments: str) -> str:
    """Run the command as a process would, on a thread of its own; return what it says."""

    def run() -> str:
        out = io.StringIO()
        try:
            call_command("kafka_replay", *arguments, stdout=out)
        finally:
            connections.close_all()
        return out.getvalue()

    try:
        return await asyncio.to_thread(run)
    finally:
        # The command's own loop is over; what it left open is in the thread that runs queries.
        await sync_to_async(connections.close_all)()


async def finished(row: ChatMessage) -> ChatMessage:
    """Return the row once its question has ended."""
    return await until(row, lambda found: found.status not in OPEN)


async def until(row: ChatMessage, condition: Callable[[ChatMessage], bool]) -> ChatMessage:
    """Return the row once it is so."""
    async with asyncio.timeout(30):
        while not condition(found := await ChatMessage.objects.aget(pk=row.pk)):
            await asyncio.sleep(0.02)
    return found


def positions_of(group: str) -> list[positions.Position]:
    """Return how far a group has come in each partition of its topic."""
    with positions.bystander(group) as consumer:
        return positions.of(consumer, replaying.GROUPS[group])
