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
from llm.runs import scripts
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

_DIGESTS = {script: sha1(script.encode()).hexdigest() for script in scripts.ALL}


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
        calls = [(scripts.APPEND, [_ALIVE], [some[0].process, KEPT, self._in_json(some)]) for some in several]
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
        base = await self._run(scripts.TAKE_OVER, _keys(run), arguments)
        if base is None:
            raise RunEnded(str(run))
        return int(base)

    async def stop(self, run: UUID, seen: int) -> bool:
        """Ask the run's writer to stop; returns False where there is no such run, or it has ended."""
        return bool(await self._run(scripts.STOP, _keys(run)[1:], [str(run), seen]))

    async def end(self, run: UUID, outcome: str, data: dict[str, Any]) -> bool:
        """End a run from outside; returns False where it has ended already."""
        return bool(await self._run(scripts.END, _keys(run), [str(run), outcome, json.dumps(data), KEPT]))

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
        ended = await self._run(scripts.REAP, [_ALIVE], [INTERRUPTED, KEPT, _REAPED_AT_ONCE])
        return [UUID(run.decode()) for run in ended]

    async def beat(self, writers: Mapping[UUID, str]) -> list[UUID]:
        """Say that the writers of these runs are alive; returns the runs that are not theirs any more."""
        pairs = [field for run, writer in writers.items() for field in (str(run), writer)]
        lost = await self._run(scripts.BEAT, [_ALIVE], [self._lease, KEPT, *pairs])
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
