"""State that all processes share in Redis, for code that must go on without it.

Nobody waits noticeably for a Redis that is away: a script that has no result after `PATIENCE` counts as lost, and for
`FORGET` afterwards nobody tries again.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from redis.exceptions import NoScriptError, RedisError

from config import redis

log = structlog.get_logger(__name__)

# Seconds.
PATIENCE = 0.2
FORGET = 1.0
# Scripts of a process that are on their way, at most; more would only queue up for connections.
AT_ONCE = 8


class Away(Exception):
    """Redis cannot be reached, or does not do what it is asked."""


class Script:
    """A Lua script, which Redis runs as one step."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The name under which Redis keeps it, no secret: https://redis.io/docs/latest/commands/evalsha/
        self.sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class _Line:
    """What is known about one client's Redis (times are of the monotonic clock)."""

    def __init__(self) -> None:
        # Who waits for their turn waits for this process, not for Redis.
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.answered_at = 0.0
        self.away_until = 0.0
        self.away_said = False

    def note_answer(self) -> None:
        self.answered_at = time.monotonic()
        if self.away_said:
            self.away_said = False
            log.info("Redis is back")

    def note_failure(self, asked_at: float, error: Exception) -> None:
        if self.answered_at > asked_at:
            # It has answered others meanwhile: it, or this process, is busy.
            return
        self.away_until = time.monotonic() + FORGET
        if not self.away_said:
            self.away_said = True
            log.warning("Redis is away, going on without it", error=type(error).__name__)


class Shared:
    """Runs scripts on the Redis that `connect` returns a client of, which may be another one for each event loop."""

    def __init__(self, connect: Callable[[], redis.Redis] = redis.client) -> None:
        self._connect = connect
        self._lines: WeakKeyDictionary[redis.Redis, _Line] = WeakKeyDictionary()

    @property
    def away(self) -> bool:
        """Whether Redis was found away just now."""
        return time.monotonic() < self._lines.setdefault(self._connect(), _Line()).away_until

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Return a script's result; raises Away."""
        client = self._connect()
        line = self._lines.setdefault(client, _Line())
        async with line.turns:
            asked_at = time.monotonic()
            if asked_at < line.away_until:
                raise Away("Redis was away just now")
            try:
                async with asyncio.timeout(PATIENCE):
                    result = await _evaluate(client, script, keys, arguments)
            except (RedisError, OSError, TimeoutError) as error:
                line.note_failure(asked_at, error)
                raise Away(type(error).__name__) from None
            line.note_answer()
            return result


async def _evaluate(client: redis.Redis, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
    # Typed as if it could be synchronous, too.
    call: Any = client.evalsha(script.sha1, len(keys), *keys, *arguments)
    try:
        return await call
    except NoScriptError:
        call = client.eval(script.text, len(keys), *keys, *arguments)
        return await call


SHARED = Shared()
