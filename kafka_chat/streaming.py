"""Server-sent events: a question's answer while it is written, from its run.

Events are named `delta`, `heartbeat` and `end`; deltas and ends of a run have its event numbers as ids, so a client
that comes back says with `Last-Event-ID` what it has, in whatever process the answer is written.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kafka_chat.models import OPEN, ChatMessage
from kafka_chat.states import State, describe, told
from kafka_chat.waiting import TICK, Finished, follow
from llm.runs import Delta

# Seconds between heartbeats: proxies commonly cut what is silent for 30. The row is looked at as often.
HEARTBEAT = 12.0
# Seconds after which a stream ends, and the client comes back by itself.
LONGEST = 600.0
# Milliseconds until it does.
RETRY = 1000


async def events(row: ChatMessage, after: int) -> AsyncGenerator[str]:
    """Yield the stream of an own question's events after a number.

    Of a question that was finished before, that is its end alone, which carries the whole answer.
    """
    yield f"retry: {RETRY}\n\n"
    finished = None if row.status in OPEN else Finished(describe(row))
    if finished is None:
        async with aclosing(_until_finished(row, after)) as parts:
            async for part in parts:
                if isinstance(part, Finished):
                    finished = part
                else:
                    yield part
    # Out here, because a client that has the end comes for nothing more: all that was open is closed now.
    if finished is not None:
        yield _event("end", told(finished.state) | {"last": finished.last}, finished.seq)


async def _until_finished(row: ChatMessage, after: int) -> AsyncGenerator[str | Finished]:
    silent = 0.0
    happenings = follow(row.session_id, row.message_id, after, seconds=LONGEST, look_every=HEARTBEAT)
    async with aclosing(happenings):
        async for happening in happenings:
            if isinstance(happening, Finished):
                yield happening
                return
            silent = 0.0 if happening else silent + TICK
            if isinstance(happening, Delta):
                yield _event("delta", {"text": happening.text, "restart": happening.restart}, happening.seq)
            elif silent >= HEARTBEAT:
                silent = 0.0
                yield _event("heartbeat", {})


def _event(name: str, data: State, seq: int | None = None) -> str:
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {name}\ndata: {json.dumps(data)}\n\n"
