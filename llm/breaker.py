"""The circuit breaker: which providers are not asked for now, known to all processes.

    closed ── failures in a row ──► open ── time ──► half-open: one probe ──► closed where it succeeds
                                      ▲                        └─ it fails ─────────────┐
                                      └─────────────────────────────────────────────────┘

One hash in Redis for each provider that has failed lately; a healthy provider has none. Each step is one Lua script
with Redis' own clock, so neither the processes' clocks nor their order matter. A probe is a claim that expires: the
process that had it may have died. With Redis away every provider is admitted.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog
from django.conf import settings

from config.background import Background
from llm.shared_state import SHARED, Away, Script, Shared

log = structlog.get_logger(__name__)

State = Literal["closed", "open", "half-open"]

# Seconds for which a process asks a provider that it has found well without looking again. So long it may go on asking
# one that others have given up meanwhile, and each such question goes to the next provider at once.
WELL_FOR = 0.5
# A provider that nobody has asked for so many times the open time begins anew.
_FORGOTTEN_AFTER = 10

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

# Returns whether to ask ("closed", "failing", "probe" or "open").
_ADMIT = Script(
    _NOW
    + """
local failures, open_until, probe_until = unpack(redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'probe_until'))
if not failures then return 'closed' end
if not open_until then return 'failing' end
if now < tonumber(open_until) or now < tonumber(probe_until or 0) then return 'open' end
redis.call('HSET', KEYS[1], 'probe_until', now + ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'probe'
"""
)

# Returns the number of failures in a row, and whether the circuit opened by this one. Those of calls that began before
# it opened do not keep it open for longer.
_FAIL = Script(
    _NOW
    + """
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local open_until = redis.call('HGET', KEYS[1], 'open_until')
local opens = (open_until and now >= tonumber(open_until)) or (not open_until and failures >= tonumber(ARGV[1]))
if opens then
  redis.call('HSET', KEYS[1], 'open_until', now + ARGV[2])
  redis.call('HDEL', KEYS[1], 'probe_until')
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {failures, opens and 1 or 0}
"""
)

# Returns whether the circuit was open.
_CLOSE = Script(
    """
local was_open = redis.call('HEXISTS', KEYS[1], 'open_until')
redis.call('DEL', KEYS[1])
return was_open
"""
)

# Returns for each provider its failures and the milliseconds that it is still open, -1 where it is not.
_LOOK = Script(
    _NOW
    + """
local seen = {}
for i, key in ipairs(KEYS) do
  local failures, open_until = unpack(redis.call('HMGET', key, 'failures', 'open_until'))
  seen[i] = {tonumber(failures or 0), open_until and math.max(0, open_until - now) or -1}
end
return seen
"""
)


@dataclass(frozen=True, slots=True)
class Circuit:
    """Where a provider stands: failures in a row, and the seconds until it may be probed."""

    state: State
    failures: int = 0
    seconds_left: float = 0


class Breaker:
    """Opens a provider's circuit after some failures in a row, for some seconds.

    `probe_seconds` is how long a probe may take: after that it counts as dead, and another one is let through.
    """

    def __init__(self, *, failures: int, seconds: float, probe_seconds: float, shared: Shared = SHARED) -> None:
        self._failures = failures
        self._open_ms = max(1, round(seconds * 1000))
        self._probe_ms = max(1, round(probe_seconds * 1000))
        self._kept_ms = _FORGOTTEN_AFTER * max(self._open_ms, self._probe_ms)
        self._shared = shared
        self._background = Background("breaker")
        # Providers that had failed when this process last looked: success of the others needs no word.
        self._troubled: set[str] = set()
        # Until when providers that were found to be well are taken to be so, by the monotonic clock.
        self._well_until: dict[str, float] = {}

    def look_ahead(self, provider: str) -> None:
        """Look beside other work whether the provider is well, for who asks in a moment. Claims no probe.

        What else is asked of Redis in this turn of the event loop shares the round trip.
        """
        if time.monotonic() >= self._well_until.get(provider, 0):
            self._background.keep_up(provider, partial(self._look, provider))

    async def admits(self, provider: str) -> bool:
        """Whether the provider may be asked now; who is told yes should tell what came of it."""
        if time.monotonic() < self._well_until.get(provider, 0):
            return True
        try:
            answer = await self._shared.run(_ADMIT, [_key(provider)], [self._probe_ms, self._kept_ms])
        except Away:
            return True
        if answer == b"closed":
            self._note_well(provider)
            return True
        self._troubled.add(provider)
        if answer == b"probe":
            log.info("circuit half-open, the provider is probed", provider=provider)
        return bool(answer != b"open")

    async def succeeded(self, provider: str) -> None:
        """Learn that the provider has begun to answer. Costs nothing where it had not failed before."""
        if provider in self._troubled:
            await self.reset(provider)

    async def failed(self, provider: str) -> None:
        """Learn that the provider failed."""
        self._troubled.add(provider)
        self._well_until.pop(provider, None)
        try:
            failures, opened = await self._shared.run(
                _FAIL, [_key(provider)], [self._failures, self._open_ms, self._kept_ms]
            )
        except Away:
            return
        if opened:
            log.warning("circuit open", provider=provider, failures=failures, seconds=self._open_ms / 1000)

    async def reset(self, provider: str) -> None:
        """Close the provider's circuit, and forget its failures."""
        try:
            was_open = await self._shared.run(_CLOSE, [_key(provider)], [])
        except Away:
            return
        self._troubled.discard(provider)
        if was_open:
            log.info("circuit closed", provider=provider)

    async def states(self, providers: Iterable[str]) -> dict[str, Circuit]:
        """Return where these providers stand; raises Away, because then nobody knows."""
        names = list(dict.fromkeys(providers))
        seen = await self._shared.run(_LOOK, [_key(name) for name in names], [])
        return {name: _circuit(*numbers) for name, numbers in zip(names, seen, strict=True)}

    async def _look(self, provider: str) -> None:
        with suppress(Away):
            if (await self.states([provider]))[provider].failures == 0:
                self._note_well(provider)

    def _note_well(self, provider: str) -> None:
        self._troubled.discard(provider)
        self._well_until[provider] = time.monotonic() + WELL_FOR


def from_settings() -> Breaker:
    """Return a breaker as the settings want it."""
    return Breaker(
        failures=settings.LLM_BREAKER_FAILURES,
        seconds=settings.LLM_BREAKER_SECONDS,
        # By then a chain has told what came of it, if it still can.
        probe_seconds=settings.LLM_FIRST_TOKEN_SECONDS + 1,
    )


def _key(provider: str) -> str:
    return f"llm:circuit:{provider}"


def _circuit(failures: int, open_ms: int) -> Circuit:
    if open_ms < 0:
        return Circuit("closed", failures)
    return Circuit("open" if open_ms else "half-open", failures, open_ms / 1000)
