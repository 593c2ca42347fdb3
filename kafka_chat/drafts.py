"""An answer while it is made: shown to whoever reads along, and stopped when its visitor says so.

The run log is an extra. Without it an answer is made and stored all the same; it is not seen to grow, and a stop does
not reach it.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.utils import timezone
from redis.exceptions import RedisError

from llm import runs
from llm.runs import MAX_CHARACTERS, RunFull, Writer
from llm.types import Chunk

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Draft:
    """One attempt at an answer."""

    def __init__(self, message_id: UUID, session_id: UUID) -> None:
        self.message_id = message_id
        self.session_id = session_id
        self.first_token_at: datetime | None = None
        self.last = Chunk()
        self._pieces: list[str] = []
        self._characters = 0
        self._anew = False
        self._writer: Writer | None = None
        # The task that works on it, and whether a stop has cancelled it.
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    async def open(self) -> None:
        """Take the run over from earlier attempts. Raises RunEnded."""
        try:
            self._writer = await runs.log().take_over(
                self.message_id, owner=str(self.session_id), on_stop=self._on_stop
            )
        except RedisError as error:
            log.warning("Redis is away, nobody can read along", message_id=str(self.message_id), error=str(error))

    @property
    def stopped(self) -> bool:
        """Whether the visitor has stopped it."""
        return self._writer is not None and self._writer.seen is not None

    @property
    def text(self) -> str:
        """The text so far; of a stopped answer what its visitor had seen."""
        return self._writer.text if self._writer is not None and self.stopped else "".join(self._pieces)

    def add(self, chunk: Chunk) -> None:
        """Add what the model says next. Raises RunFull where the answer has reached its greatest length."""
        if chunk.restart:
            self.begin_anew()
        self.last = chunk
        if not chunk.text:
            return
        if self.first_token_at is None:
            self.first_token_at = timezone.now()
        piece = chunk.text[: MAX_CHARACTERS - self._characters]
        if self._writer is not None:
            self._writer.write(piece, restart=self._anew)
        self._anew = False
        self._pieces.append(piece)
        self._characters += len(piece)
        if len(piece) < len(chunk.text):
            raise RunFull

    def begin_anew(self) -> None:
        """What comes next replaces what there is."""
        self._anew = self._anew or bool(self._pieces)
        self._pieces.clear()
        self._characters = 0
        self.first_token_at = None

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what comes of the work, or None as soon as the visitor has stopped it."""
        task = self._task = asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        try:
            if self.stopped:
                self._on_stop()
            result = await work
        except asyncio.CancelledError:
            # As `asyncio.timeout` does it: somebody else may have cancelled us, too.
            if not self._cancelled or task.cancelling() > cancelled_before + 1:
                raise
            return None
        except Exception:
            # What it ended with counts no more.
            if not self.stopped:
                raise
            return None
        finally:
            self._task = None
            if self._cancelled:
                task.uncancel()
        return None if self.stopped else result

    async def close(self) -> None:
        """Let go of the run; its end is written once the answer is stored."""
        if self._writer is not None:
            await runs.log().close(self._writer)

    def _on_stop(self) -> None:
        # Also called where another attempt has the run now: which of both is stored, the row decides.
        if self.stopped and self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()
