"""What servers know of a question, gathered beside its way: told at once, written by a thread of its own.

`note` puts a moment into memory and waits for nothing. The thread writes what has gathered to Redis, of all questions
in one round trip, about `GATHER` seconds later: a hash for each question, where the marks of all processes meet, until
the browser says what it has seen (`reports`). It is an extra: where Redis is away, marks are dropped.
"""

import json
import os
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import redis as redis_client
import structlog
from django.conf import settings
from django.utils import timezone
from redis.exceptions import RedisError

from config import redis
from config.observability.counting import Counted

log = structlog.get_logger(__name__)

# In the order in which they come about. The WebSocket chat has neither of the second and third, and stores last.
Mark = Literal["accepted", "written", "published", "picked_up", "first_token", "last_token", "stored"]
MARKS: tuple[Mark, ...] = ("accepted", "written", "published", "picked_up", "first_token", "last_token", "stored")

# Seconds that a mark waits for others, and for which marks are kept: an answer and its report are long done then.
GATHER = 0.2
KEPT = 60 * 60
# Notes that wait in memory at most; the oldest are dropped.
CAPACITY = 20_000
# Seconds.
_PATIENCE = 1.0
_NUMBERS = ("reads", "writes", "beside_reads", "beside_writes")
# Questions that one script writes, at most: others wait for it.
_AT_ONCE = 200

# Takes them as one JSON text: commands, or an argument for each part, cost several times as much. Of each question its
# key, its fields and its numbers, which are added to what was said before.
_WRITE = """
for _, question in ipairs(cjson.decode(ARGV[2])) do
    local key, fields, numbers = unpack(question)
    if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
    for i = 1, #numbers, 2 do redis.call('HINCRBYFLOAT', key, numbers[i], numbers[i + 1]) end
    redis.call('EXPIRE', key, ARGV[1])
end
"""


@dataclass(frozen=True, slots=True)
class Noted:
    """What all processes have told of one question. Moments are on the servers' clocks."""

    marks: Mapping[Mark, datetime]
    facts: Mapping[str, str]
    counted: Counted
    # What nobody waited for: the ledger of calls, the question's category.
    beside: Counted


@dataclass(frozen=True, slots=True)
class _Note:
    trace_id: UUID
    fields: Mapping[str, str]
    counted: Counted = field(default_factory=Counted)
    beside: Counted = field(default_factory=Counted)

    @property
    def numbers(self) -> tuple[float, ...]:
        """What is added to what was said before, in the order of `_NUMBERS`."""
        return self.counted.reads, self.counted.writes, self.beside.reads, self.beside.writes


@dataclass(slots=True)
class _Gathered:
    """What several notes say of one question."""

    fields: dict[str, str] = field(default_factory=dict)
    numbers: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, note: _Note) -> None:
        self.fields.update(note.fields)
        for name, number in zip(_NUMBERS, note.numbers, strict=True):
            if number:
                self.numbers[name] += number


class Collector:
    """Notes that wait to be written, and the thread that does it; `in_background=False`: only `flush` writes."""

    def __init__(self, *, in_background: bool = True) -> None:
        self._in_background = in_background
        self.forget()

    def forget(self) -> None:
        """Begin anew, without notes and thread: those of a parent process are the parent's."""
        self._waiting: deque[_Note] = deque(maxlen=CAPACITY)
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, note: _Note) -> None:
        """Keep a note until it is written; takes microseconds."""
        self._waiting.append(note)
        if not self._in_background:
            return
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write what waits, in this thread. Raises RedisError; what waited is lost then."""
        with _client() as client:
            self._write(client)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timelines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        client = _client()
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(GATHER)
            self._wake.clear()
            try:
                self._write(client)
            except RedisError as error:
                log.warning("marks of timelines are dropped, Redis is away", error=type(error).__name__)

    def _write(self, client: Any) -> None:
        gathered: defaultdict[UUID, _Gathered] = defaultdict(_Gathered)
        for _ in range(len(self._waiting)):
            note = self._waiting.popleft()
            gathered[note.trace_id].add(note)
        if not gathered:
            return
        write = client.register_script(_WRITE)
        said = [(_key(trace_id), _flat(each.fields), _flat(each.numbers)) for trace_id, each in gathered.items()]
        for start in range(0, len(said), _AT_ONCE):
            write(args=[KEPT, json.dumps(said[start : start + _AT_ONCE], ensure_ascii=False)])


def note(
    trace_id: UUID, *marks: Mark, counted: Counted | None = None, beside: Counted | None = None, **facts: object
) -> None:
    """Note that these marks of a question are reached now, what was executed for it, and other facts.

    Said again, a mark or a fact replaces what was said, and statements are added. A fact that is a moment and named
    as a mark stands for that mark; one that is None is none.
    """
    now = timezone.now()
    fields = dict.fromkeys(map(str, marks), _text(now))
    fields |= {name: _text(value) for name, value in facts.items() if value is not None}
    collector.add(_Note(trace_id, fields, counted or Counted(), beside or Counted()))


def note_all(
    trace_ids: Iterable[UUID], *marks: Mark, counted: Counted | None = None, beside: Counted | None = None
) -> None:
    """Note the same of several questions, which share what was executed for them together."""
    if not (ids := list(trace_ids)):
        return
    ours, theirs = ((each or Counted()).share(1 / len(ids)) for each in (counted, beside))
    for trace_id in ids:
        note(trace_id, *marks, counted=ours, beside=theirs)


async def find(trace_id: UUID) -> Noted | None:
    """Return what was told of a question in the last hour, None where that is nothing. Raises RedisError."""
    answer: Any = redis.client().hgetall(_key(trace_id))
    found = {name.decode(): value.decode() for name, value in (await answer).items()}
    if not found:
        return None
    numbers = [float(found.pop(name, 0)) for name in _NUMBERS]
    marks = {mark: datetime.fromisoformat(found.pop(mark)) for mark in MARKS if mark in found}
    return Noted(marks, found, Counted(*numbers[:2]), Counted(*numbers[2:]))


def _client() -> redis_client.Redis:
    return redis_client.Redis.from_url(settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)


def _key(trace_id: UUID) -> str:
    return f"timeline:{trace_id}"


def _flat(pairs: Mapping[str, object]) -> list[str]:
    return [str(part) for pair in pairs.items() for part in pair]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


# The collector of this process.
collector = Collector()
os.register_at_fork(after_in_child=lambda: collector.forget())
