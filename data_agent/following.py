"""Pages that follow a conversation: a second tab, a colleague it is shared with. What one changes, the others show.

Through the channel layer goes a pointer, never data: it drops messages where a page does not keep up, and with Redis.
What changed is read from the database, as the page's person may see it. Who could not listen for a while is told once,
as if something had changed.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers
from redis.exceptions import RedisError

from config.background import Background

log = structlog.get_logger(__name__)

Changed = Callable[[uuid.UUID], Awaitable[None]]

# Seconds before others are told of a change: what follows it at once is told with it, and the person who made it does
# not wait for that.
_TELL_AFTER = 0.03
# Seconds that Redis may take to hear of a change, and between two attempts to listen.
_TELL_SECONDS = 2.0
_AGAIN = 2.0
_AWAY = (RedisError, OSError, TimeoutError)


class Following:
    """The conversation that one page follows. `changed` is called with it whenever another page changed it."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._page = uuid.uuid4().hex
        self._session: uuid.UUID | None = None
        # Which listening counts: an earlier one may take a moment to end, also that to the same conversation.
        self._listening = ""
        self._untold: set[uuid.UUID] = set()
        self._background = Background("following")

    def follow(self, session: uuid.UUID) -> None:
        """Hear of this conversation from now on, and of no other."""
        if session != self._session:
            self.leave()
            self._session, self._listening = session, uuid.uuid4().hex
            self._background.keep_up(self._listening, partial(self._listen, self._listening, session))

    def leave(self) -> None:
        """Hear of nothing any more. Called from within `changed`, it cancels that where it next waits."""
        self._background.cancel(self._listening)
        self._session, self._listening = None, ""

    def tell(self, session: uuid.UUID) -> None:
        """Tell other pages that this conversation changed; nobody waits for it."""
        self._untold.add(session)
        self._background.keep_up("telling", self._tell)

    async def aclose(self) -> None:
        """Follow nothing, and leave untold what has not been told."""
        await self._background.aclose()

    async def _tell(self) -> None:
        while self._untold:
            await asyncio.sleep(_TELL_AFTER)
            session = self._untold.pop()
            try:
                async with asyncio.timeout(_TELL_SECONDS):
                    await channel_layers[DEFAULT_CHANNEL_LAYER].group_send(
                        _group(session), {"type": "changed", "by": self._page}
                    )
            except _AWAY as error:
                log.info("other pages are not told of a change, Redis is away", error=type(error).__name__)

    async def _listen(self, name: str, session: uuid.UUID) -> None:
        missed = False
        while name == self._listening:
            try:
                async with _channel(_group(session)) as receive:
                    if missed:
                        await self._changed(session)
                    while name == self._listening:
                        message = await receive()
                        # Redis' client may swallow a cancellation, and come with a message instead.
                        if name == self._listening and message["by"] != self._page:
                            await self._changed(session)
            except _AWAY as error:
                log.info("changes by other pages are not heard, Redis is away", error=type(error).__name__)
                missed = True
                await asyncio.sleep(_AGAIN)


@asynccontextmanager
async def _channel(group: str) -> AsyncIterator[Callable[[], Awaitable[dict[str, Any]]]]:
    """Belong to a group; the body gets what receives its messages. Raises what Redis' client raises."""
    layer = channel_layers[DEFAULT_CHANNEL_LAYER]
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    try:
        yield lambda: layer.receive(channel)
    finally:
        with suppress(*_AWAY):
            async with asyncio.timeout(_TELL_SECONDS):
                await layer.group_discard(group, channel)


def _group(session: uuid.UUID) -> str:
    return f"data-agent.{session}"
