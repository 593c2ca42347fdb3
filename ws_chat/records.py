"""What the audit log keeps of a run, in the form in which processes hand it to each other."""

import datetime
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone
from pydantic import BaseModel, ConfigDict, model_validator

from llm.runs import Snapshot
from ws_chat.models import ChatMessage, Status


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run answers: a question, and the turn that it makes or is another version of."""

    turn: UUID
    question: str


class Record(BaseModel):
    """One run: the fields of its row. Before its end it is what would be stored if its process were lost now."""

    model_config = ConfigDict(frozen=True)

    run_id: UUID
    turn_id: UUID
    visitor_id: UUID
    question: str
    answer: str = ""
    status: Status = Status.INTERRUPTED
    error: str = ""
    provider: str = ""
    model: str = ""
    fallback: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    started_at: datetime.datetime
    first_token_ms: int | None = None
    total_ms: int
    trace_id: UUID

    @model_validator(mode="before")
    @classmethod
    def _is_its_own_turn(cls, fields: Any) -> Any:
        """Read what versions kept that knew no turns: none of their answers was asked for again."""
        if isinstance(fields, dict) and "turn_id" not in fields:
            return fields | {"turn_id": fields.get("run_id")}
        return fields

    @property
    def asked(self) -> Asked:
        """What the run answers."""
        return Asked(self.turn_id, self.question)

    @property
    def facts(self) -> dict[str, Any]:
        """What the end of the run says to whoever reads it, beside the text: `told` takes it back."""
        return self.model_dump(mode="json", include=_FACTS)

    @property
    def marks(self) -> dict[str, Any]:
        """What its timeline keeps of an ended run: moments on this process's clock, who answered, and tokens."""
        first = None if self.first_token_ms is None else self._after(self.first_token_ms)
        facts = self.model_dump(include=_MARKED)
        return facts | {"outcome": self.status, "first_token": first, "last_token": self._after(self.total_ms)}

    def _after(self, milliseconds: int) -> datetime.datetime:
        return self.started_at + datetime.timedelta(milliseconds=milliseconds)

    @property
    def age(self) -> float:
        """Seconds since the question."""
        return (timezone.now() - self.started_at).total_seconds()

    def told(self, run: Snapshot) -> "Record":
        """Return the record with what the run log knows of the run; what nobody has said stays.

        Where its process was lost, the run has lasted until somebody noticed.
        """
        facts = dict(run.end.data) if run.end else {}
        outcome = run.end.outcome if run.end else Status.INTERRUPTED
        known = {"total_ms": round(self.age * 1000)} | facts | {"answer": run.text, "status": Status(outcome)}
        return self.model_copy(update=known)

    def row(self) -> ChatMessage:
        """Return the row, not stored yet."""
        return ChatMessage(**self.model_dump())


_MARKED = {"provider", "model", "fallback", "prompt_tokens", "completion_tokens"}
_FACTS = {
    "error",
    "provider",
    "model",
    "fallback",
    "prompt_tokens",
    "completion_tokens",
    "first_token_ms",
    "total_ms",
}
