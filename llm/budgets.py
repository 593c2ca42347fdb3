"""Who may still ask: questions per minute and hour, tokens per day, for each session and each client address.

What a question will cost at most is reserved before a model is asked, and settled afterwards with what it did cost, by
whatever process that is. A reservation takes from all counters or from none: one Lua script, which is why this is not
the `limits` library, whose counters are taken from one by one.

- Questions are counted in sliding windows, exactly: a sorted set of times for each subject. In no interval of a minute
  or an hour are there more than the limit.
- Tokens are counted in quarters of an hour, which leave the day when their end does: a day never holds more than its
  limit, and what was used comes back at most a quarter of an hour late.
- A single question may be larger than what a day allows; then it must be the only one.
- A refused question counts nowhere. A reservation that nobody settles stays as it was estimated, until it leaves the
  day.
- With Redis away each process admits a few questions of its own (`ALONE`).

Keys of the counters are found through the reservation, so this needs one Redis (or Valkey), not a cluster.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from django.conf import settings
from django.utils.translation import gettext

from llm import budget_words, metrics
from llm.limits import SECONDS, Limits, Window
from llm.shared_state import SHARED, Away, Script, Shared

log = structlog.get_logger(__name__)

Tier = Literal["anonymous", "signed-in", "staff"]
Clock = Callable[[], int | Literal[""]]

# Questions per minute that a process admits, from all askers together, while Redis is away.
ALONE = 30
# Seconds after which a reservation can be neither settled nor released, and its key counts as new.
RESERVED = 2 * SECONDS["hour"]

# What the addresses of all tiers are called among the kinds of subjects.
ADDRESSES = "address"
# Subjects of a kind that operators' look takes in, the latest: it holds Redis up for less than a few milliseconds.
LOOKED_AT = 200

# Where a clock is given it is the caller's (milliseconds), otherwise Redis' own.
_NOW = """
local now = tonumber(ARGV[1])
if not now then local t = redis.call('TIME') now = t[1] * 1000 + math.floor(t[2] / 1000) end
local MINUTE, HOUR, DAY, QUARTER = 60000, 3600000, 86400000, 900000
local function questions(key, window)
  return redis.call('ZCOUNT', key, '(' .. now - window, '+inf')
end
-- Returns the tokens of the last day, and its quarters of an hour with their tokens, oldest first.
local function tokens_of(key)
  local fields, sum, quarters = redis.call('HGETALL', key), 0, {}
  for i = 1, #fields, 2 do
    local quarter, tokens = tonumber(fields[i]), tonumber(fields[i + 1])
    if (quarter + 1) * QUARTER + DAY > now then
      sum = sum + tokens
      table.insert(quarters, {quarter, tokens})
    end
  end
  table.sort(quarters, function(a, b) return a[1] < b[1] end)
  return sum, quarters
end
"""

# KEYS: the reservation; then for each subject its questions, its tokens, and the list of its like.
# ARGV: the time; tokens; milliseconds to keep the reservation; then for each subject its three limits, "" for none.
# Returns {0} where there is room in all of them, otherwise the longest wait in milliseconds, whose subject it is
# (from 1) and for which of the three limits.
_RESERVE = Script(
    _NOW
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
local asked, subjects, longest = tonumber(ARGV[2]), (#KEYS - 1) / 3, {0}
local function must_wait(wait, subject, limit)
  if wait > longest[1] then longest = {wait, subject, limit} end
end
for i = 1, subjects do
  local times, used = KEYS[3 * i - 1], KEYS[3 * i]
  for w, window in ipairs({MINUTE, HOUR}) do
    local limit = tonumber(ARGV[3 * i + w])
    local over = limit and questions(times, window) - limit or -1
    if over >= 0 then
      -- Room is there when this one has left the window.
      local last = redis.call('ZRANGEBYSCORE', times, '(' .. now - window, '+inf', 'WITHSCORES', 'LIMIT', over, 1)
      must_wait(last[2] + window - now, i, w)
    end
  end
  local limit = tonumber(ARGV[3 * i + 3])
  if limit then
    local sum, quarters = tokens_of(used)
    local over = sum + math.min(asked, limit) - limit
    for _, quarter in ipairs(quarters) do
      if over <= 0 then break end
      must_wait((quarter[1] + 1) * QUARTER + DAY - now, i, 3)
      over = over - quarter[2]
    end
  end
end
if longest[1] > 0 then return longest end
local quarter = math.floor(now / QUARTER)
for i = 1, subjects do
  local times, used, alike = KEYS[3 * i - 1], KEYS[3 * i], KEYS[3 * i + 1]
  redis.call('ZADD', alike, now, times .. ' ' .. used)
  redis.call('ZREMRANGEBYSCORE', alike, '-inf', now - DAY)
  redis.call('PEXPIRE', alike, DAY)
  if ARGV[3 * i + 1] ~= '' or ARGV[3 * i + 2] ~= '' then
    redis.call('ZREMRANGEBYSCORE', times, '-inf', now - HOUR)
    redis.call('ZADD', times, now, KEYS[1])
    redis.call('PEXPIRE', times, HOUR)
  end
  if ARGV[3 * i + 3] ~= '' then
    redis.call('HINCRBY', used, quarter, asked)
    for _, field in ipairs(redis.call('HKEYS', used)) do
      if (field + 1) * QUARTER + DAY <= now then redis.call('HDEL', used, field) end
    end
    redis.call('PEXPIRE', used, DAY + QUARTER)
  end
  redis.call('HSET', KEYS[1], 'times' .. i, times, 'used' .. i, used)
end
redis.call('HSET', KEYS[1], 'tokens', asked, 'quarter', quarter, 'subjects', subjects)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {0}
"""
)

# KEYS: the reservation. ARGV: the tokens that were used, or "" to undo it. Returns whether it was open until now.
_SETTLE = Script(
    """
local r = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do r[fields[i]] = fields[i + 1] end
if not r.tokens or r.settled then return 0 end
local tokens = tonumber(ARGV[1])
for i = 1, tonumber(r.subjects) do
  if redis.call('HEXISTS', r['used' .. i], r.quarter) == 1 then
    redis.call('HINCRBY', r['used' .. i], r.quarter, (tokens or 0) - r.tokens)
  end
  if not tokens then redis.call('ZREM', r['times' .. i], KEYS[1]) end
end
if tokens then redis.call('HSET', KEYS[1], 'settled', 1) else redis.call('DEL', KEYS[1]) end
return 1
"""
)

# KEYS: for each subject its tokens. ARGV: the time; tokens.
_CHARGE = Script(
    _NOW
    + """
for _, key in ipairs(KEYS) do
  redis.call('HINCRBY', key, math.floor(now / QUARTER), ARGV[2])
  redis.call('PEXPIRE', key, DAY + QUARTER)
end
"""
)

# KEYS: for each subject its questions and its tokens. ARGV: the time.
# Returns for each subject what the last minute, hour and day hold.
_LOOK = Script(
    _NOW
    + """
local used = {}
for i = 1, #KEYS, 2 do
  table.insert(used, {questions(KEYS[i], MINUTE), questions(KEYS[i], HOUR), (tokens_of(KEYS[i + 1]))})
end
return used
"""
)

# KEYS: lists of subjects that are alike. ARGV: the time; how many of each are looked at, the latest.
# Returns for each list how many asked in the last day, and the most that one has used of minute, hour and day.
_BUSIEST = Script(
    _NOW
    + """
local found = {}
for _, alike in ipairs(KEYS) do
  local most = {redis.call('ZCOUNT', alike, '(' .. now - DAY, '+inf'), 0, 0, 0}
  for _, both in ipairs(redis.call('ZREVRANGEBYSCORE', alike, '+inf', '(' .. now - DAY, 'LIMIT', 0, ARGV[2])) do
    local times, used = string.match(both, '^(%S+) (%S+)$')
    most[2] = math.max(most[2], questions(times, MINUTE))
    most[3] = math.max(most[3], questions(times, HOUR))
    most[4] = math.max(most[4], (tokens_of(used)))
  end
  table.insert(found, most)
end
return found
"""
)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a visitor's or an account's session, from an address (as `config.addresses` counts them)."""

    session: str
    address: str
    tier: Tier = "anonymous"


@dataclass(frozen=True, slots=True)
class Remaining:
    """What an asker may still ask now: the least of what session and address have left; None for no limit."""

    per_minute: int | None
    per_hour: int | None
    tokens_per_day: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """How many subjects of a kind asked in the last day, and the most that one of them has used of each limit.

    A limit that is not set is not counted either.
    """

    subjects: int
    per_minute: int
    per_hour: int
    tokens_per_day: int


class BudgetExceeded(Exception):
    """There is no room for this question yet.

    `retry_after` is in whole seconds; `public` is for the person, in the active language: that of their request.
    """

    code = "budget_exceeded"

    def __init__(self, reason: str, wait_ms: float) -> None:
        self.retry_after = max(1, math.ceil(wait_ms / 1000))
        wait = gettext("Please wait %(time)s, then send it again.") % {"time": budget_words.wait(self.retry_after)}
        self.public = f"{reason} {wait}"
        super().__init__(self.public)


class Budgets:
    """The counters, in a Redis. `now_ms` is for tests; without it Redis' own clock counts."""

    def __init__(self, shared: Shared = SHARED, *, alone: int = ALONE, now_ms: Clock = lambda: "") -> None:
        self._shared = shared
        self._alone = alone
        self._now_ms = now_ms
        # Keys of the questions that were admitted while Redis was away, with their times.
        self._admitted: OrderedDict[str, float] = OrderedDict()

    async def reserve(self, asker: Asker, key: str, tokens: int) -> None:
        """Take one question and so many tokens; a key that is reserved or settled already costs nothing more.

        Raises BudgetExceeded.
        """
        subjects = _subjects(asker)
        alike = (asker.tier, ADDRESSES)
        keys = [_reservation(key)]
        for (name, _), kind in zip(subjects, alike, strict=True):
            keys += [*_counters(name), _alike(kind)]
        limits = ["" if limit is None else limit for _, limits in subjects for limit in limits]
        arguments = [self._now_ms(), tokens, RESERVED * 1000, *limits]
        try:
            wait_ms, *whose = await self._shared.run(_RESERVE, keys, arguments)
        except Away:
            return self._reserve_alone(key)
        if wait_ms:
            subject, window = whose[0] - 1, whose[1] - 1
            log.info(
                "question refused, the budget is used up",
                subject=_SUBJECTS[subject],
                window=_WINDOWS[window],
                tier=asker.tier,
            )
            metrics.note_refusal(_SUBJECTS[subject], _WINDOWS[window], asker.tier)
            limit = subjects[subject][1][window]
            raise BudgetExceeded(budget_words.reason(_SUBJECTS[subject], _WINDOWS[window], limit or 0), wait_ms)

    async def settle(self, key: str, tokens_used: int) -> None:
        """Put what was used in the place of what was reserved. Only the first time counts."""
        await self._end(key, tokens_used)

    async def release(self, key: str) -> None:
        """Give back what was reserved, the question too: it was never asked."""
        self._admitted.pop(key, None)
        await self._end(key, "")

    async def charge(self, asker: Asker, tokens: int) -> None:
        """Count tokens of work that belongs to a question that was admitted before; never refused."""
        keys = [_counters(name)[1] for name, limits in _subjects(asker) if limits[_WINDOWS.index("day")] is not None]
        try:
            await self._shared.run(_CHARGE, keys, [self._now_ms(), tokens])
        except Away:
            log.info("tokens not charged, Redis is away", tokens=tokens)

    async def remaining(self, asker: Asker) -> Remaining | None:
        """Return what is left, None while nobody knows because Redis is away."""
        subjects = _subjects(asker)
        try:
            used = await self._shared.run(
                _LOOK, [each for name, _ in subjects for each in _counters(name)], [self._now_ms()]
            )
        except Away:
            return None
        left: list[int | None] = []
        for window in range(len(_WINDOWS)):
            limits = [limits[window] for _, limits in subjects]
            rooms = [
                max(0, limit - counts[window]) for limit, counts in zip(limits, used, strict=True) if limit is not None
            ]
            left.append(min(rooms, default=None))
        return Remaining(*left)

    async def busiest(self, kinds: Sequence[str]) -> dict[str, Use] | None:
        """Return what the busiest of each kind, a tier or `ADDRESSES`, have used; None while Redis is away.

        One look at Redis, at the `LOOKED_AT` of each kind who asked last.
        """
        try:
            found = await self._shared.run(_BUSIEST, [_alike(kind) for kind in kinds], [self._now_ms(), LOOKED_AT])
        except Away:
            return None
        return {kind: Use(*most) for kind, most in zip(kinds, found, strict=True)}

    async def _end(self, key: str, tokens: int | Literal[""]) -> None:
        try:
            await self._shared.run(_SETTLE, [_reservation(key)], [tokens])
        except Away:
            log.info("reservation left as it was, Redis is away")

    def _reserve_alone(self, key: str) -> None:
        now, window = time.monotonic(), SECONDS["minute"]
        while self._admitted and next(iter(self._admitted.values())) <= now - window:
            self._admitted.popitem(last=False)
        if key in self._admitted:
            return
        if len(self._admitted) >= self._alone:
            wait = next(iter(self._admitted.values())) + window - now
            metrics.note_refusal("site", "minute", "any")
            raise BudgetExceeded(gettext("The site can take only a few questions at the moment."), wait * 1000)
        self._admitted[key] = now


_SUBJECTS = ("session", "address")
_WINDOWS: tuple[Window, ...] = ("minute", "hour", "day")
# In the order of the windows; the day's are tokens.
_Counts = tuple[int | None, int | None, int | None]


def _subjects(asker: Asker) -> list[tuple[str, _Counts]]:
    """Return the names and limits of what a question counts for."""
    return [
        (f"session:{asker.session}", _counts(settings.LLM_BUDGETS[asker.tier])),
        (f"address:{asker.address}", _counts(settings.LLM_BUDGET_ADDRESS)),
    ]


def _counts(limits: Limits) -> _Counts:
    return limits.per_minute, limits.per_hour, limits.tokens_per_day


def _reservation(key: str) -> str:
    return f"llm:budget:reserved:{key}"


def _counters(subject: str) -> tuple[str, str]:
    return f"llm:budget:questions:{subject}", f"llm:budget:tokens:{subject}"


def _alike(kind: str) -> str:
    return f"llm:budget:alike:{kind}"


BUDGETS = Budgets()
reserve, settle, release = BUDGETS.reserve, BUDGETS.settle, BUDGETS.release
charge, remaining, busiest = BUDGETS.charge, BUDGETS.remaining, BUDGETS.busiest
