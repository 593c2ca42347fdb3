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

from config.background import Background
from config.redis import Redis
from config.round_trips import Command
from llm.runs.events import ATTEMPT, End, Entry, Event, decode
from llm.runs.rounds import Rounds

# Seconds that a run is kept after its last event.
KEPT = 3600
# Run ids by the moment (in milliseconds, of the server's clock) at which their process counts as lost.
_ALIVE = "runs:alive"
# Lost runs that one script ends, at most: others wait for it.
_REAPED_AT_ONCE = 100
# ... and runs to which one script appends.
_APPENDED_AT_ONCE = 100

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
    """Entries to append. `fresh` says that they begin with the writer's first, so that the run may be new."""

    run: UUID
    writer: str
    process: str
    owner: str
    leased: bool
    fresh: bool
    entries: Sequence[Entry]


def channel_of(process: str) -> str:
    """Return where a process is told about runs that it follows or writes.

    "run +": there are new events. "run -": it is not the writer any more. "run 12": stop, 12 was seen. "run = 13 {…}":
    the end, with its number; who waits for nothing else need not read it.
    """
    return f"runs:told:{process}"


# What an append is answered with: the number up to which the visitor had seen the text where the run is to be stopped,
# else one of these. "followed": it was appended, and another process reads it. "gone": Redis has lost the run. "taken":
# another attempt writes it now.
APPENDED, FOLLOWED, ENDED, TAKEN, GONE = b"ok", b"followed", b"ended", b"taken", b"gone"

_NOW = """
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# Tells the processes that follow a run, and returns whether there is one; one that does not listen any more is
# forgotten. Of the end the others are told, too, that wait for nothing else.
_TELL = """
local function tell(run)
    local told = false
    for _, process in ipairs(redis.call('SMEMBERS', 'runs:followers:' .. run)) do
        if redis.call('PUBLISH', 'runs:told:' .. process, run .. ' +') == 0 then
            redis.call('SREM', 'runs:followers:' .. run, process)
        else
            told = true
        end
    end
    return told
end
local function tell_end(run, seq, content)
    for _, process in ipairs(redis.call('SMEMBERS', 'runs:awaited:' .. run)) do
        redis.call('PUBLISH', 'runs:told:' .. process, run .. ' = ' .. string.format('%.0f', seq) .. ' ' .. content)
    end
    redis.call('DEL', 'runs:awaited:' .. run)
end
"""

# Takes the batches as one JSON text: an argument for each of their parts costs several times as much.
_APPEND = (
    _NOW
    + _TELL
    + """
local process, keep = ARGV[1], ARGV[2]
local function append(run, writer, owner, fresh, lease, entries)
    local stream, hash = 'runs:events:' .. run, 'runs:state:' .. run
    local state = redis.call('HMGET', hash, 'writer', 'ended', 'stop', 'seq')
    if state[2] then return 'ended' end
    if state[1] and state[1] ~= writer then return 'taken' end
    if not state[1] then
        if not fresh then return 'gone' end
        redis.call('HSET', hash, 'writer', writer, 'process', process, 'owner', owner)
    end
    -- An append whose answer was lost is made again.
    local seq, ends = tonumber(state[4] or 0), false
    for _, entry in ipairs(entries) do
        local kind, content = entry[2], entry[3]
        if entry[1] > seq then
            seq = entry[1]
            if type(content) == 'table' then content = cjson.encode(content) end
            redis.call('XADD', stream, string.format('%.0f-0', seq), kind, content)
            if kind == 'e' then
                ends = true
                redis.call('HSET', hash, 'ended', '1')
                tell_end(run, seq, content)
            end
        end
    end
    redis.call('HSET', hash, 'seq', string.format('%.0f', seq))
    -- In between the heartbeat does it.
    if ends or fresh then
        redis.call('EXPIRE', stream, keep)
        redis.call('EXPIRE', hash, keep)
        if ends then
            redis.call('ZREM', KEYS[1], run)
        elseif lease > 0 then
            redis.call('ZADD', KEYS[1], now() + lease, run)
        end
    end
    local told = tell(run)
    return state[3] or told and 'followed' or 'ok'
end
-- Of most there is nothing to say.
local others = {}
for i, batch in ipairs(cjson.decode(ARGV[3])) do
    local answer = append(unpack(batch))
    if answer ~= 'ok' then
        table.insert(others, i)
        table.insert(others, answer)
    end
end
return others
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
    content = content .. ',"data":' .. data .. '}'
    redis.call('XADD', stream, string.format('%.0f-0', seq + 1), 'e', content)
    redis.call('HSET', hash, 'ended', '1', 'seq', string.format('%.0f', seq + 1))
    redis.call('EXPIRE', stream, keep)
    redis.call('EXPIRE', hash, keep)
    redis.call('ZREM', 'runs:alive', run)
    tell(run)
    tell_end(run, seq + 1, content)
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
local lost = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now()), 'LIMIT', 0, ARGV[3])
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
local lost, until_then = {}, now() + ARGV[1]
for i = 3, #ARGV, 2 do
    local run = ARGV[i]
    local state = redis.call('HMGET', 'runs:state:' .. run, 'writer', 'ended')
    if state[2] or (state[1] and state[1] ~= ARGV[i + 1]) then
        lost[#lost + 1] = run
    elseif state[1] then
        redis.call('ZADD', KEYS[1], 'XX', until_then, run)
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

    def __init__(self, redis: Redis, background: Background, *, lease: float) -> None:
        self._redis = redis
        self._rounds = Rounds(redis, background)
        self._lease = round(lease * 1000)

    async def append(self, batches: Sequence[Batch]) -> list[bytes]:
        """Append to many runs in one round trip; returns what became of each batch."""
        several = [batches[start : start + _APPENDED_AT_ONCE] for start in range(0, len(batches), _APPENDED_AT_ONCE)]
        calls = [(_APPEND, [_ALIVE], [some[0].process, KEPT, self._in_json(some)]) for some in several]
        answers = [APPENDED] * len(batches)
        for number, others in enumerate(await self._run_all(calls)):
            for place, answer in zip(others[::2], others[1::2], strict=True):
                answers[number * _APPENDED_AT_ONCE + place - 1] = answer
        return answers

    async def read(self, cursors: Sequence[tuple[UUID, int]]) -> list[list[Event]]:
        """Return the events of each run after a number, all in one round trip."""
        replies = await self._ask([_range(run, after) for run, after in cursors])
        return [decode(entries, after) for (_, after), entries in zip(cursors, replies, strict=True)]

    async def follow(
        self,
        cursors: Sequence[tuple[UUID, int]],
        awaited: Sequence[UUID],
        *,
        process: str,
        left: Iterable[str] = (),
    ) -> tuple[list[list[Event]], list[End | None]]:
        """Return what `read` does, and the ends of the runs of which nothing else is wanted, None before it.

        From now on the process is told of more, and not any more of what it left: see `following` and `awaiting`.
        """
        # Registered before it is read, so that nothing comes in between unnoticed.
        begin: list[Command] = [("SREM", key, process) for key in left]
        for key in (*(following(run) for run, _ in cursors), *(awaiting(run) for run in awaited)):
            begin += [("SADD", key, process), ("EXPIRE", key, KEPT)]
        news = [_range(run, after) for run, after in cursors]
        newest = [("XREVRANGE", _keys(run)[0], "+", "-", "COUNT", 1) for run in awaited]
        replies = (await self._ask([*begin, *news, *newest]))[len(begin) :]
        events = [decode(entries, after) for (_, after), entries in zip(cursors, replies, strict=False)]
        ends = [_end_among(entries) for entries in replies[len(cursors) :]]
        return events, ends

    async def info(self, run: UUID) -> RunInfo | None:
        """Return what is known of a run, None where it does not exist any more, or not yet."""
        ((owner, seq, ended),) = await self._ask([("HMGET", _keys(run)[1], "owner", "seq", "ended")])
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

    def _in_json(self, batches: Sequence[Batch]) -> str:
        """Return batches as the script takes them."""
        parts = [
            (
                str(batch.run),
                batch.writer,
                batch.owner,
                batch.fresh,
                self._lease if batch.leased else 0,
                batch.entries,
            )
            for batch in batches
        ]
        return json.dumps(parts, ensure_ascii=False)

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return (await self._run_all([(script, keys, arguments)]))[0]

    async def _run_all(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        """Run scripts in one round trip; what Redis has forgotten since its last start is loaded again."""
        commands = [("EVALSHA", _DIGESTS[script], len(keys), *keys, *arguments) for script, keys, arguments in calls]
        replies = await self._rounds.ask(commands)
        forgotten = [position for position, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            again = await self._rounds.ask(
                [("EVAL", calls[position][0], *commands[position][2:]) for position in forgotten]
            )
            for position, reply in zip(forgotten, again, strict=True):
                replies[position] = reply
        return _without_errors(replies)

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        return _without_errors(await self._rounds.ask(commands))


def following(run: UUID) -> str:
    """Return the key of the processes that are told of a run's events."""
    return f"runs:followers:{run}"


def awaiting(run: UUID) -> str:
    """Return the key of the processes that are told of a run's end."""
    return f"runs:awaited:{run}"


def _keys(run: UUID) -> list[str]:
    return [f"runs:events:{run}", f"runs:state:{run}"]


def _range(run: UUID, after: int) -> Command:
    return ("XRANGE", _keys(run)[0], f"({after}-0", "+")


def _end_among(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> End | None:
    events = decode(entries)
    return events[-1] if events and isinstance(events[-1], End) else None


def _without_errors(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies
