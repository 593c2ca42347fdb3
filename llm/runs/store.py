"""Where runs are kept: for each a Redis stream with its events and a hash with its state.

Entries have the events' numbers as ids, so a reader asks for what comes after its cursor. All changes are scripts: a
run has one writer, told by a token, and after its end nothing changes it any more.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any
from uuid import UUID

from redis.exceptions import NoScriptError

from config.redis import Redis
from llm.runs.events import ATTEMPT, Event, decode, encode

# Seconds that a run is kept after its last event.
KEPT = 3600
# Run ids by the moment (in milliseconds, of the server's clock) at which their process counts as lost.
_ALIVE = "runs:alive"
# Lost runs that one script ends, at most: others wait for it.
_REAPED_AT_ONCE = 100

INTERRUPTED = "interrupted"


class RunEnded(Exception):
    """The run has ended already."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run. `owner` is who may read and stop it; `seq` the number of its last event."""

    owner: str
    seq: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events to append. `fresh` says that they begin with the writer's first, so that the run may be new."""

    run: UUID
    writer: str
    process: str
    owner: str
    leased: bool
    fresh: bool
    events: Sequence[Event]


def channel_of(process: str) -> str:
    """Return where a process is told about runs that it follows or writes.

    "run +": there are new events. "run -": it is not the writer any more. "run 12": stop, 12 was seen.
    """
    return f"runs:told:{process}"


# What an append is answered with: the number up to which the visitor had seen the text where the run is to be stopped,
# else one of these. "gone": Redis has lost the run. "taken": another attempt writes it now.
APPENDED, ENDED, TAKEN, GONE = b"ok", b"ended", b"taken", b"gone"

_NOW = "local time = redis.call('TIME'); local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"

# Tells the processes that follow a run; one that does not listen any more is forgotten.
_TELL = """
local function tell(run)
    for _, process in ipairs(redis.call('SMEMBERS', 'runs:followers:' .. run)) do
        if redis.call('PUBLISH', 'runs:told:' .. process, run .. ' +') == 0 then
            redis.call('SREM', 'runs:followers:' .. run, process)
        end
    end
end
"""

_APPEND = (
    _NOW
    + _TELL
    + """
local state = redis.call('HMGET', KEYS[2], 'writer', 'ended', 'stop', 'seq')
if state[2] then return 'ended' end
if state[1] and state[1] ~= ARGV[1] then return 'taken' end
if not state[1] then
    if ARGV[4] ~= '1' then return 'gone' end
    redis.call('HSET', KEYS[2], 'writer', ARGV[1], 'process', ARGV[2], 'owner', ARGV[3])
end
-- An append whose answer was lost is made again.
local seq = tonumber(state[4] or 0)
for i = 8, #ARGV, 3 do
    if tonumber(ARGV[i]) > seq then
        seq = tonumber(ARGV[i])
        redis.call('XADD', KEYS[1], ARGV[i] .. '-0', ARGV[i + 1], ARGV[i + 2])
        if ARGV[i + 1] == 'e' then redis.call('HSET', KEYS[2], 'ended', '1') end
    end
end
redis.call('HSET', KEYS[2], 'seq', string.format('%.0f', seq))
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
if ARGV[#ARGV - 1] == 'e' then
    redis.call('ZREM', KEYS[3], ARGV[7])
elseif ARGV[5] ~= '0' then
    redis.call('ZADD', KEYS[3], now + ARGV[5], ARGV[7])
end
tell(ARGV[7])
return state[3] or 'ok'
"""
)

# Begins another attempt; returns the number below its first, False where the run has ended.
_TAKE_OVER = """
local state = redis.call('HMGET', KEYS[2], 'ended', 'seq', 'process')
if state[1] then return false end
if state[3] then redis.call('PUBLISH', 'runs:told:' .. state[3], ARGV[6] .. ' -') end
local base = 0
if state[2] then base = (math.floor(state[2] / ARGV[5]) + 1) * ARGV[5] end
redis.call('HSET', KEYS[2], 'writer', ARGV[1], 'process', ARGV[2], 'owner', ARGV[3], 'seq', string.format('%.0f', base))
redis.call('EXPIRE', KEYS[2], ARGV[4])
return string.format('%.0f', base)
"""

_STOP = """
local state = redis.call('HMGET', KEYS[1], 'ended', 'process')
if state[1] or not state[2] then return 0 end
redis.call('HSETNX', KEYS[1], 'stop', ARGV[2])
redis.call('PUBLISH', 'runs:told:' .. state[2], ARGV[1] .. ' ' .. ARGV[2])
return 1
"""

# In a function, because both the end by somebody else and the reaper need it.
_FINISH = (
    _TELL
    + """
local function finish(stream, hash, run, outcome, data, keep)
    local state = redis.call('HMGET', hash, 'ended', 'seq', 'stop', 'process')
    if state[1] then return 0 end
    local seq = tonumber(state[2] or 0)
    -- An attempt that has written nothing yet made nothing void.
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    local last = newest and tonumber(string.match(newest[1], '%d+')) or 0
    last = math.min(last, tonumber(state[3] or last))
    local content = '{"outcome":' .. cjson.encode(outcome) .. ',"last":' .. string.format('%.0f', last)
    redis.call('XADD', stream, string.format('%.0f-0', seq + 1), 'e', content .. ',"data":' .. data .. '}')
    redis.call('HSET', hash, 'ended', '1', 'seq', string.format('%.0f', seq + 1))
    redis.call('EXPIRE', stream, keep)
    redis.call('EXPIRE', hash, keep)
    redis.call('ZREM', 'runs:alive', run)
    tell(run)
    if state[4] then redis.call('PUBLISH', 'runs:told:' .. state[4], run .. ' -') end
    return 1
end
"""
)

_END = _FINISH + "return finish(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])"

_REAP = (
    _NOW
    + _FINISH
    + """
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
local ended = {}
for _, run in ipairs(lost) do
    redis.call('ZREM', KEYS[1], run)
    local hash = 'runs:state:' .. run
    if redis.call('EXISTS', hash) == 1 and finish('runs:events:' .. run, hash, run, ARGV[1], '{}', ARGV[2]) == 1 then
        ended[#ended + 1] = run
    end
end
return ended
"""
)

# Returns the runs that have ended or have another writer.
_BEAT = (
    _NOW
    + """
local lost = {}
for i = 3, #ARGV, 2 do
    local run = ARGV[i]
    local state = redis.call('HMGET', 'runs:state:' .. run, 'writer', 'ended')
    if state[2] or (state[1] and state[1] ~= ARGV[i + 1]) then
        lost[#lost + 1] = run
    elseif state[1] then
        redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], run)
        redis.call('EXPIRE', 'runs:events:' .. run, ARGV[2])
        redis.call('EXPIRE', 'runs:state:' .. run, ARGV[2])
    end
end
return lost
"""
)

_DIGESTS = {script: sha1(script.encode()).hexdigest() for script in (_APPEND, _TAKE_OVER, _STOP, _END, _REAP, _BEAT)}


class Store:
    """The runs in one Redis. `lease` is in seconds: for how long a writer is trusted to be alive.

    Every method raises redis.exceptions.RedisError where Redis is away.
    """

    def __init__(self, redis: Redis, *, lease: float) -> None:
        self._redis = redis
        self._lease = str(round(lease * 1000))

    async def append(self, batches: Sequence[Batch]) -> list[bytes]:
        """Append to many runs in one round trip; returns what became of each batch."""
        return await self._run_all(
            [(_APPEND, [*_keys(batch.run), _ALIVE], self._arguments(batch)) for batch in batches]
        )

    async def read(self, cursors: Sequence[tuple[UUID, int]]) -> list[list[Event]]:
        """Return the events of each run after a number, all in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for run, after in cursors:
            pipeline.xrange(_keys(run)[0], f"({after}-0")
        return [[decode(entry) for entry in entries] for entries in await pipeline.execute()]

    async def follow(
        self, cursors: Sequence[tuple[UUID, int]], *, process: str, left: Iterable[UUID] = ()
    ) -> list[list[Event]]:
        """Return what `read` does; from now on the process is told of more, and not any more about the runs it left."""
        pipeline = self._redis.pipeline(transaction=False)
        for run in left:
            pipeline.srem(_followers(run), process)
        # Registered before it is read, so that nothing comes in between unnoticed.
        for run, after in cursors:
            pipeline.sadd(_followers(run), process)
            pipeline.expire(_followers(run), KEPT)
            pipeline.xrange(_keys(run)[0], f"({after}-0")
        replies = [reply for reply in await pipeline.execute() if isinstance(reply, list)]
        return [[decode(entry) for entry in entries] for entries in replies]

    async def info(self, run: UUID) -> RunInfo | None:
        """Return what is known of a run, None where it does not exist any more, or not yet."""
        awaiting: Any = self._redis.hmget(_keys(run)[1], ["owner", "seq", "ended"])
        owner, seq, ended = await awaiting
        return None if owner is None else RunInfo(owner.decode(), int(seq or 0), ended is not None)

    async def take_over(self, run: UUID, *, writer: str, process: str, owner: str) -> int:
        """Begin another attempt, or the first; returns the number below its first event. Raises RunEnded."""
        arguments = [writer, process, owner, KEPT, ATTEMPT, str(run)]
        base = await self._run(_TAKE_OVER, _keys(run), arguments)
        if base is None:
            raise RunEnded(str(run))
        return int(base)

    async def stop(self, run: UUID, seen: int) -> bool:
        """Ask the run's writer to stop; returns False where there is no such run, or it has ended."""
        return bool(await self._run(_STOP, _keys(run)[1:], [str(run), seen]))

    async def end(self, run: UUID, outcome: str, data: dict[str, Any]) -> bool:
        """End a run from outside; returns False where it has ended already."""
        return bool(await self._run(_END, _keys(run), [str(run), outcome, json.dumps(data), KEPT]))

    async def forget(self, runs: Iterable[UUID]) -> None:
        """Delete runs, so that each may begin anew."""
        if keys := [key for run in runs for key in _keys(run)]:
            await self._redis.delete(*keys)

    async def alive(self, runs: Sequence[UUID]) -> set[UUID]:
        """Return which of these leased runs are being written, as far as their processes have said lately."""
        if not runs:
            return set()
        scores: Any = self._redis.zmscore(_ALIVE, [str(run) for run in runs])
        return {run for run, score in zip(runs, await scores, strict=True) if score is not None}

    async def reap(self) -> list[UUID]:
        """End the runs whose process is lost, as interrupted; returns them."""
        ended = await self._run(_REAP, [_ALIVE], [INTERRUPTED, KEPT, _REAPED_AT_ONCE])
        return [UUID(run.decode()) for run in ended]

    async def beat(self, writers: Mapping[UUID, str]) -> list[UUID]:
        """Say that the writers of these runs are alive; returns the runs that are not theirs any more."""
        pairs = [field for run, writer in writers.items() for field in (str(run), writer)]
        lost = await self._run(_BEAT, [_ALIVE], [self._lease, KEPT, *pairs])
        return [UUID(run.decode()) for run in lost]

    def _arguments(self, batch: Batch) -> list[Any]:
        head = [batch.writer, batch.process, batch.owner, "1" if batch.fresh else "0"]
        entries = [field for event in batch.events for field in encode(event)]
        return [*head, self._lease if batch.leased else "0", KEPT, str(batch.run), *entries]

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return (await self._run_all([(script, keys, arguments)]))[0]

    async def _run_all(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run scripts in one round trip; what Redis has forgotten since its last start is loaded again."""
        for known in (True, False):
            pipeline = self._redis.pipeline(transaction=False)
            for script, keys, arguments in calls:
                if known:
                    pipeline.evalsha(_DIGESTS[script], len(keys), *keys, *arguments)
                else:
                    pipeline.eval(script, len(keys), *keys, *arguments)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
            if not any(isinstance(reply, NoScriptError) for reply in replies):
                break
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies


def _followers(run: UUID) -> str:
    return f"runs:followers:{run}"


def _keys(run: UUID) -> list[str]:
    return [f"runs:events:{run}", f"runs:state:{run}"]
