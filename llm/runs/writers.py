"""Who writes a run: hands each piece to this process's readers at once, and leaves the store to the log."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from llm.runs.events import Delta, End
from llm.runs.feeds import Feed
from llm.runs.store import Batch

# An answer's length, at most: what nobody can take fast enough lies in memory.
MAX_CHARACTERS = 200_000

# Seconds between two events on average: pieces that come faster are joined. So many may come at once.
_INTERVAL = 0.02
_BURST = 10


class RunFull(Exception):
    """The answer has reached its greatest length; what fitted was written."""


class Writer:
    """Writes one run; made by `RunLog.open` and `RunLog.take_over`.

    `on_stop` is called once, when somebody stops the run or another attempt has replaced this one. From then on
    pieces are dropped. `changed` is told that there is something new, and whether the store is to have it at once.
    """

    def __init__(
        self,
        run: uuid.UUID,
        *,
        owner: str,
        leased: bool,
        base: int,
        on_stop: Callable[[], None],
        changed: Callable[["Writer", bool], None],
        token: str,
    ) -> None:
        self.run = run
        self.owner = owner
        self.leased = leased
        self.token = token
        self.feed = Feed(run)
        # The number of the last delta that the visitor had seen when they stopped the run, None if they did not.
        self.seen: int | None = None
        # Whether somebody else has ended or replaced the run.
        self.superseded = False
        # Whether another process read the run when it was appended to last.
        self.followed = False
        self.settled = asyncio.Event()
        self._base = base
        self._seq = base
        self._restart = base > 0
        # The number of the last event that the store has, 0 before the first.
        self._appended = 0
        # Whether the store knows of the run: who is lost before the first piece must be missed, too.
        self._registered = False
        self._characters = 0
        self._on_stop = on_stop
        self._changed = changed
        # Whether the log knows that the store lacks something.
        self._announced = False
        # Pieces that wait to be joined with more, and the timer that ends that; either both or none.
        self._pending: list[str] = []
        self._emitting: asyncio.TimerHandle | None = None
        # The moment, in the loop's time, from which on the next piece waits for no other.
        self._free_at = float("-inf")
        self._loop = asyncio.get_running_loop()
        # Whether nothing more is to be written.
        self.stopped = False

    @property
    def text(self) -> str:
        """The answer so far; of a stopped run what the visitor had seen of it."""
        text = self.feed.events.text(self.seen)
        return text if self.stopped else text + "".join(self._pending)

    def write(self, text: str, *, restart: bool = False) -> None:
        """Add a piece; with `restart` it replaces what came before. Raises RunFull."""
        if self.stopped:
            return
        if restart:
            self._emit()
            self._restart, self._characters = True, 0
        piece = text[: MAX_CHARACTERS - self._characters]
        if piece or restart:
            self._characters += len(piece)
            self._add(piece)
        if len(piece) < len(text):
            raise RunFull

    def flush(self) -> None:
        """Emit what waits to be joined with more, because nothing more comes."""
        if not self.stopped:
            self._emit()

    def end(self, outcome: str, data: Mapping[str, Any] | None = None) -> End:
        """Write the end, where nobody else has; returns it."""
        if (end := self.feed.end) is not None:
            return end
        if not self.stopped:
            self._emit()
            if self._restart:
                # What an earlier attempt wrote is void also where this one had nothing to say.
                self._append("", self._loop.time())
            self.stopped = True
        last = self._seq if self.seen is None else min(self.seen, self._seq)
        end = End(self._seq + 1, outcome, last, data or {})
        self.feed.append(end)
        self._changed(self, True)
        return end

    def stop(self, seen: int) -> None:
        """Stop at a visitor's wish."""
        if not self.stopped:
            self.stopped = True
            self._cancel_pending()
            self.seen = seen
            self._on_stop()

    def supersede(self) -> None:
        """Learn that somebody else has ended or replaced the run; what the store did not take is lost."""
        if not self.superseded:
            was_stopped = self.stopped
            self._cancel_pending()
            self.superseded = self.stopped = True
            self.settled.set()
            if not was_stopped:
                self._on_stop()

    def batch(self, process: str) -> Batch | None:
        """Return what the store does not have yet, None where that is nothing."""
        self._announced = False
        entries = self.feed.events.entries(self._appended)
        if self.superseded or (self._registered and not entries):
            return None
        return Batch(
            run=self.run,
            writer=self.token,
            process=process,
            owner=self.owner,
            leased=self.leased,
            fresh=self._appended == 0,
            entries=entries,
        )

    def appended(self, batch: Batch) -> None:
        """Learn that the store has these events."""
        self._registered = True
        if batch.entries:
            self._appended = batch.entries[-1][0]
        if self.is_settled:
            self.settled.set()

    def append_again(self) -> None:
        """Learn that the store has lost the run."""
        self._appended = 0
        self._registered = False

    @property
    def is_settled(self) -> bool:
        """Whether the store has everything."""
        stored = self._registered and self._appended == self.feed.last
        return self.superseded or (stored and not self._pending)

    def _add(self, piece: str) -> None:
        """Emit a piece now, or, where they come faster than anybody reads, with what comes until a little later."""
        if self._emitting is not None:
            self._pending.append(piece)
        elif (now := self._loop.time()) >= self._free_at:
            self._append(piece, now)
        else:
            self._pending.append(piece)
            self._emitting = self._loop.call_at(self._free_at, self._emit)

    def _emit(self) -> None:
        """Emit what waits."""
        if self._pending:
            text = "".join(self._pending)
            self._cancel_pending()
            self._append(text, self._loop.time())

    def _append(self, text: str, now: float) -> None:
        self._free_at = max(self._free_at, now - (_BURST - 1) * _INTERVAL) + _INTERVAL
        self._seq += 1
        self.feed.append(Delta(self._seq, text, self._restart))
        self._restart = False
        # What it knows already it need not be told for each piece.
        first = self._seq == self._base + 1
        if first or not self._announced:
            self._announced = True
            self._changed(self, first)

    def _cancel_pending(self) -> None:
        if self._emitting is not None:
            self._emitting.cancel()
            self._emitting = None
        self._pending.clear()
