"""What a worker tells about each question that it is done with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from config.observability.logs import texts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question. `seconds` are from its claim until the answer was published."""

    message_id: UUID
    trace_id: UUID
    status: Literal["answered", "failed", "stopped"]
    provider: str
    seconds: float
    # Of the answer; None where nobody counted.
    tokens: int | None
    question: str = ""
    answer: str = ""


Report = Callable[[Outcome], None]


def log_outcome(outcome: Outcome) -> None:
    """Write it into the log, for machines; `console.Console` writes it for people."""
    log.info(
        f"question {outcome.status}",
        message_id=str(outcome.message_id),
        trace_id=str(outcome.trace_id),
        provider=outcome.provider,
        seconds=round(outcome.seconds, 3),
        tokens=outcome.tokens,
        **texts(question=outcome.question, answer=outcome.answer),
    )
