"""The ledger of model calls: told at once, written by a thread of its own.

`record` only puts a call into memory. The thread prices and stores what has gathered with one INSERT, about a second
later. It uses a connection of its own, outside the pool, so that it takes none from visitors, and closes it when no
more calls come. An orderly end of the process (SIGTERM to Daphne or to a worker, the end of a command) waits for the
rest to be written; SIGKILL costs the last second.
"""

import atexit
import json
import os
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
    transaction,
)
from uuid_utils.compat import uuid7

from config.observability import counting
from llm import metrics
from llm.ledger.prices import PRICED, PRICES
from llm.timelines import marks
from llm.types import Call

log = structlog.get_logger(__name__)

# Rows kept in memory while PostgreSQL is away; less than a kilobyte each.
CAPACITY = 10_000
# Rows of one INSERT.
BATCH = 500
# Seconds that a call waits for others. Its write is part of the question's timeline, which a page asks for after 1.5 s.
_GATHER = 0.8
# Seconds without a call after which the connection is closed: to make one costs more than to write a batch.
_QUIET = 5.0
# Seconds before what could not be written is tried again; doubles up to the second.
_BACKOFF = (1.0, 30.0)
# Seconds that the end of the process waits for the last rows. Container platforms kill after 10 and more.
_LAST_SECONDS = 4.0

# After these the same rows may be written later. A table that is missing is one that `migrate` is about to create.
_PASSING = (OperationalError, InterfaceError, ProgrammingError)

Row = tuple[uuid.UUID, Call]

# All rows are one parameter, which costs a tenth of what the ORM takes for them. A row that is there already was
# written by a try whose success we did not hear of.
_INSERT = f"""
    {PRICES}
    INSERT INTO llm_call (
        call_id, purpose, provider, model, prompt_tokens, completion_tokens, estimated, price_id, cost, started_at,
        first_token_ms, total_ms, outcome, fallback, trace_id
    )
    SELECT
        call_id, purpose, provider, model, prompt_tokens, completion_tokens, estimated, price.id, price.usd, started_at,
        first_token_ms, total_ms, outcome, fallback, trace_id
    FROM jsonb_to_recordset(%s::jsonb) AS made (
        call_id uuid, purpose text, provider text, model text, prompt_tokens integer, completion_tokens integer,
        estimated boolean, started_at timestamptz, first_token_ms integer, total_ms integer, outcome text,
        fallback boolean, trace_id uuid
    )
    {PRICED}
    ON CONFLICT DO NOTHING
    RETURNING purpose, provider, cost
"""


class Ledger:
    """Calls that wait to be written, and the thread that does it; `in_background=False`: only `flush` writes."""

    def __init__(self, *, capacity: int = CAPACITY, in_background: bool = True) -> None:
        self._capacity = capacity
        self._in_background = in_background
        self.forget()

    def forget(self) -> None:
        """Begin anew, without rows and thread: those of a parent process are the parent's."""
        self._waiting: deque[Row] = deque()
        self._batch: list[Row] = []
        self._dropped = 0
        self._starting = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many calls are not written yet."""
        return len(self._waiting) + len(self._batch)

    def record(self, call: Call) -> None:
        """Keep a call until it is written. Neither blocks nor raises; takes microseconds."""
        if self.waiting >= self._capacity:
            self._dropped += 1
            return
        # The key is made once, so that a row whose INSERT got no answer can be sent again.
        self._waiting.append((uuid7(), call))
        if self._thread is None and self._in_background:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> int:
        """Write everything that waits, in this thread and on its connection; return the number of rows.

        Raises DatabaseError or InterfaceError where PostgreSQL is away; what was not written goes on waiting.
        """
        written = 0
        with self._writing:
            if self._dropped:
                log.error("calls were not recorded, too many waited to be written", calls=self._dropped)
                self._dropped = 0
            while self._take():
                written += _write(self._batch)
                self._batch = []
        return written

    def close(self) -> None:
        """Write the rest; waits a few seconds at most. The thread ends."""
        if self._thread is None:
            return
        self._closing.set()
        self._wake.set()
        self._thread.join(_LAST_SECONDS)
        if self.waiting:
            log.error("calls were not recorded, PostgreSQL did not take them in time", calls=self.waiting)

    def _take(self) -> bool:
        while self._waiting and len(self._batch) < BATCH:
            self._batch.append(self._waiting.popleft())
        return bool(self._batch)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                # A daemon, because others would be waited for before the functions at exit are called.
                thread = threading.Thread(target=self._run, name="calls-ledger", daemon=True)
                with suppress(RuntimeError):  # Too late: the interpreter ends.
                    thread.start()
                    self._thread = thread
                    atexit.register(self.close)

    def _run(self) -> None:
        pause = 0.0
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(pause)
            try:
                with _own_connection():
                    self._write_what_comes()
                pause = 0.0
            except Exception as error:
                # Whatever it is: without this thread nothing would be recorded any more.
                log.warning("calls wait for PostgreSQL", error=type(error).__name__, waiting=self.waiting)
                pause = min(max(2 * pause, _BACKOFF[0]), _BACKOFF[1])
                self._wake.set()

    def _write_what_comes(self) -> None:
        """Write until no more comes for a while, or to the end."""
        while True:
            self._closing.wait(_GATHER)
            self._wake.clear()
            # Before the look: what is recorded until the end is told is written, too.
            is_last = self._closing.is_set()
            self.flush()
            if is_last or not self._wake.wait(_QUIET):
                return


def record(call: Call) -> None:
    """Put a call into this process's ledger."""
    ledger.record(call)


def _write(batch: list[Row]) -> int:
    """Price and store calls; raises what passes, and leaves out the rows that PostgreSQL will never take."""
    try:
        with counting.counting() as counted, transaction.atomic(), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(_INSERT, [json.dumps([_as_row(*each) for each in batch])])
            costs = cursor.fetchall()
    except _PASSING:
        raise
    except Exception as error:
        if len(batch) > 1:
            return sum(_write([row]) for row in batch)
        log.error("a call was not recorded", error=type(error).__name__, provider=batch[0][1].provider)
        return 0
    marks.note_all((call.trace_id for _, call in batch if call.trace_id is not None), beside=counted)
    for cost in costs:
        metrics.note_cost(*cost)
    return len(batch)


def _as_row(call_id: uuid.UUID, call: Call) -> dict[str, object]:
    """Return a row as `_INSERT` reads it."""
    return {
        "call_id": str(call_id),
        "purpose": call.purpose,
        "provider": call.provider,
        # The name may be the provider's word.
        "model": call.model.replace("\x00", "")[:128],
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "estimated": call.estimated,
        "started_at": call.started_at.isoformat(),
        "first_token_ms": None if call.first_token_seconds is None else round(call.first_token_seconds * 1000),
        "total_ms": round(call.total_seconds * 1000),
        "outcome": call.outcome,
        "fallback": call.fallback,
        "trace_id": None if call.trace_id is None else str(call.trace_id),
    }


@contextmanager
def _own_connection() -> Iterator[None]:
    """Let this thread use a connection that is not the pool's, and close it afterwards."""
    own = connections[DEFAULT_DB_ALIAS].copy()
    own.settings_dict["OPTIONS"] = {**own.settings_dict["OPTIONS"], "pool": False}
    connections[DEFAULT_DB_ALIAS] = own
    try:
        yield
    finally:
        own.close()
        del connections[DEFAULT_DB_ALIAS]


# The ledger of this process.
ledger = Ledger()
os.register_at_fork(after_in_child=lambda: ledger.forget())
