"""State that all processes share in Redis, for code that must go on without it.

Scripts that are wanted at the same time, and while others are under way, share a round trip.

Nobody waits noticeably for a Redis that is away: a script that has no result after `PATIENCE` counts as lost, and for
`FORGET` afterwards nobody tries again.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import structlog
from redis.exceptions import NoScriptError, RedisError

from config import redis
from config.observability import correlation
from config.round_trips import Command, RoundTrips

log = structlog.get_logger(__name__)

# Seconds.
PATIENCE = 0.2
FORGET = 1.0
# Round trips of a process that are under way, at most. One that hangs must not hold up the others.
AT_ONCE = 3
# Scripts that share one, at most.
_MOST = 500
# Seconds that a process is late by when it is too busy to tell whether Redis is; and how often in a row that counts.
_LATE = 0.05
_OFTEN = 5


class Away(Exception):
    """Redis cannot be reached, or does not do what it is asked."""


class Script:
    """A Lua script, which Redis runs as one step."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The name under which Redis keeps it, no secret: https://redis.io/docs/latest/commands/evalsha/
        self.sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A script with its keys and arguments, and who waits for its result."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | int]
    result: "asyncio.Future[Any]"

    def command(self, name: str, script: str) -> Command:
        """Return the command that runs it."""
        return (name, script, len(self.keys), *self.keys, *self.arguments)


class _Line:
    """What is known about one client's Redis (times are of the monotonic clock), and what is wanted of it."""

    def __init__(self, client: redis.Redis) -> None:
        self._round_trips = RoundTrips(client)
        # Who waits for their turn waits for this process, not for Redis.
        self._waiting: deque[_Wanted] = deque()
        self._trips: set[asyncio.Task[None] | None] = set()
        self.answered_at = 0.0
        self.away_until = 0.0
        self.away_said = False

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Return a script's result; raises Away."""
        if time.monotonic() < self.away_until:
            raise Away("Redis was away just now")
        wanted = _Wanted(script, keys, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(wanted)
        # Those that have not begun yet take this one along.
        if len(self._waiting) == 1 and len(self._trips) < AT_ONCE:
            trip = asyncio.create_task(self._make_trips())
            self._trips.add(trip)
        return await wanted.result

    async def _make_trips(self) -> None:
        correlation.forget()
        try:
            await self._take_all()
        finally:
            # Not by a callback, which comes a moment later: who asks in that moment would wait for a trip that is over.
            self._trips.discard(asyncio.current_task())

    async def _take_all(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            asked_at = time.monotonic()
            if asked_at < self.away_until:
                _fail(taken, Away("Redis was away just now"))
                continue
            try:
                async with _Patience():
                    replies = await _evaluate(self._round_trips, taken)
            except (RedisError, OSError, TimeoutError) as error:
                self.note_failure(asked_at, error)
                _fail(taken, Away(type(error).__name__))
            except BaseException:
                for each in taken:
                    each.result.cancel()
                raise
            else:
                self._tell(taken, replies, asked_at)

    def _tell(self, taken: Sequence[_Wanted], replies: Sequence[Any], asked_at: float) -> None:
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if len(errors) < len(replies):
            self.note_answer()
        else:
            self.note_failure(asked_at, errors[0])
        for each, reply in zip(taken, replies, strict=True):
            if isinstance(reply, Exception):
                _fail([each], Away(type(reply).__name__))
            elif not each.result.done():
                each.result.set_result(reply)

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


class _Patience:
    """A timeout of `PATIENCE`, which begins anew where it ends late: then this process was busy, not Redis."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._ends = 0

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._begin()

    async def __aexit__(self, *error: Any) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(*error)

    def _begin(self) -> None:
        self._timer = self._loop.call_later(PATIENCE, self._end)

    def _end(self) -> None:
        self._ends += 1
        if self._loop.time() > self._timer.when() + _LATE and self._ends < _OFTEN:
            self._begin()
        else:
            self._timeout.reschedule(self._loop.time())


class Shared:
    """Runs scripts on the Redis that `connect` returns a client of, which may be another one for each event loop."""

    def __init__(self, connect: Callable[[], redis.Redis] = redis.client) -> None:
        self._connect = connect
        self._lines: WeakKeyDictionary[redis.Redis, _Line] = WeakKeyDictionary()

    @property
    def away(self) -> bool:
        """Whether Redis was found away just now."""
        return time.monotonic() < self._line(self._connect()).away_until

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Return a script's result; raises Away."""
        return await self._line(self._connect()).run(script, keys, arguments)

    def _line(self, client: redis.Redis) -> _Line:
        if (line := self._lines.get(client)) is None:
            line = self._lines[client] = _Line(client)
        return line


async def _evaluate(round_trips: RoundTrips, wanted: Sequence[_Wanted]) -> list[Any]:
    """Return the results, errors among them, in one round trip; in two where Redis does not know a script yet."""
    replies = await round_trips.make([each.command("EVALSHA", each.script.sha1) for each in wanted])
    unknown = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        again = [wanted[number].command("EVAL", wanted[number].script.text) for number in unknown]
        for number, reply in zip(unknown, await round_trips.make(again), strict=True):
            replies[number] = reply
    return replies


def _fail(wanted: Sequence[_Wanted], error: Away) -> None:
    for each in wanted:
        if not each.result.done():
            each.result.set_exception(error)


SHARED = Shared()
