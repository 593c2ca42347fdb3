"""The frames on `/ws/data-agent/`: JSON objects with a `type`.

    client    open {session?}        answered by ready
              ask {text, session?}   answered by working, then step
              edit {step, sql}       answered by step
              approve {step, sha256} answered by step for each stage: approved, executed, answered
              reject {step, reason?} answered by step, and by another proposal where there is a reason
              skip {step}            answered by step
              stop {}                ends what is being worked on
              ping {}                answered by pong
    server    ready, working, step, error {code, message}, pong

Close codes: 4401 not signed in, 4403 without the permission, 4400 after `MAX_BAD_FRAMES` unusable frames in a row.
"""

import uuid
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from config import texts
from data_agent.models import Session, Step

MAX_FRAME_BYTES = 64 * 1024
MAX_QUESTION = texts.MAX_LENGTH
MAX_BAD_FRAMES = 10
CLOSE_BAD_FRAMES = 4400
CLOSE_NOT_SIGNED_IN = 4401
CLOSE_NOT_ALLOWED = 4403
# What the rows of earlier steps may take in a ready frame; the oldest are left out first.
MAX_HISTORY_CELLS = 20_000


class Frame(BaseModel):
    """What all frames have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Open(Frame):
    """Show a session; without an id the newest one."""

    type: Literal["open"]
    session: uuid.UUID | None = None


class Ask(Frame):
    """Ask a question; without a session it begins one."""

    type: Literal["ask"]
    text: str
    session: uuid.UUID | None = None


class Edit(Frame):
    """Check another text for a step."""

    type: Literal["edit"]
    step: uuid.UUID
    sql: str


class Approve(Frame):
    """Run exactly the text with that SHA-256."""

    type: Literal["approve"]
    step: uuid.UUID
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Reject(Frame):
    """Refuse a proposal; with a reason another one is made."""

    type: Literal["reject"]
    step: uuid.UUID
    reason: str = Field("", max_length=1_000)


class Skip(Frame):
    """Leave a question without a query."""

    type: Literal["skip"]
    step: uuid.UUID


class Stop(Frame):
    """End what is being worked on."""

    type: Literal["stop"]


class Ping(Frame):
    """Ask whether the connection is alive."""

    type: Literal["ping"]


ClientFrame = Annotated[
    Open | Ask | Edit | Approve | Reject | Skip | Stop | Ping,
    Field(discriminator="type"),
]
_CLIENT: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)


class StepData(Frame):
    """A step as the page shows it. `row_count` counts the kept rows, also where `rows` leaves them out."""

    id: uuid.UUID
    session: uuid.UUID
    number: int
    state: str
    question: str
    sql: str
    sha256: str
    explanation: str
    source: str
    note: str
    tables: tuple[str, ...]
    columns_read: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    limit: int
    estimated_rows: int | None
    # Seconds, so that the visitor's clock does not matter; None for what cannot be approved.
    expires_in: float | None
    provider: str
    model: str
    fallback: bool
    reason: str
    columns: tuple[dict[str, Any], ...]
    rows: tuple[tuple[str | None, ...], ...]
    row_count: int
    cut: bool
    duration_ms: int | None
    answer: str
    answer_source: str
    error: str

    @classmethod
    def of(cls, step: Step, *, with_rows: bool = True) -> "StepData":
        """Return the public form of a row."""
        return cls(
            id=step.pk,
            session=step.session_id,
            number=step.number,
            state=step.state,
            question=step.question,
            sql=step.sql,
            sha256=step.sql_sha256,
            explanation=step.explanation,
            source=step.source,
            note=step.note,
            tables=step.verdict.get("tables", ()),
            columns_read=step.verdict.get("columns", ()),
            reasons=step.verdict.get("reasons", ()),
            warnings=step.verdict.get("warnings", ()),
            limit=step.verdict.get("limit", 0),
            estimated_rows=step.estimated_rows,
            expires_in=(step.expires_at - timezone.now()).total_seconds() if step.expires_at else None,
            provider=step.provider,
            model=step.model,
            fallback=step.fallback,
            reason=step.reason,
            columns=step.columns,
            rows=step.rows if with_rows else (),
            row_count=len(step.rows),
            cut=step.cut,
            duration_ms=step.duration_ms,
            answer=step.answer,
            answer_source=step.answer_source,
            error=step.error,
        )


class Ready(Frame):
    """The session and its steps; None where there is none yet."""

    type: Literal["ready"] = "ready"
    session: uuid.UUID | None
    title: str
    steps: tuple[StepData, ...]


class Working(Frame):
    """Something has begun that takes a while."""

    type: Literal["working"] = "working"
    what: Literal["proposing", "checking", "running", "answering"]


class StepChanged(Frame):
    """A step is new or changed."""

    type: Literal["step"] = "step"
    step: StepData


class Error(Frame):
    """Something did not work; `message` is a sentence for people.

    `retry_after` is in seconds, None where waiting does not help.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after: int | None = None


class Pong(Frame):
    """The connection is alive."""

    type: Literal["pong"] = "pong"


ServerFrame = Ready | Working | StepChanged | Error | Pong


class BadFrame(Exception):
    """A frame that cannot be used; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse(text: str | None) -> ClientFrame:
    """Return a client's frame; raises BadFrame where it is none or its question is empty or too long."""
    if text is None:
        raise BadFrame("bad_frame", "Frames must be JSON text.")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise BadFrame("too_long", f"A message may have at most {MAX_FRAME_BYTES // 1024} kB.")
    try:
        frame = _CLIENT.validate_json(text)
    except (ValidationError, UnicodeEncodeError) as error:
        raise _unusable(error) from None
    if isinstance(frame, Ask):
        question = frame.text.strip()
        if not question:
            raise BadFrame("empty", "The question is empty. Write what you would like to know.")
        if len(question) > MAX_QUESTION:
            raise BadFrame("too_long", f"The question has {len(question):,} characters; {MAX_QUESTION:,} are allowed.")
        return frame.model_copy(update={"text": question})
    return frame


def ready(session: Session | None, steps: Iterable[Step]) -> Ready:
    """Return the frame that shows a session; rows of old steps are left out where they would be too many."""
    shown: list[StepData] = []
    cells = 0
    for step in reversed(list(steps)):
        cells += len(step.rows) * len(step.columns)
        shown.append(StepData.of(step, with_rows=cells <= MAX_HISTORY_CELLS))
    return Ready(
        session=session.pk if session else None,
        title=session.title if session else "",
        steps=tuple(reversed(shown)),
    )


def _unusable(error: ValidationError | UnicodeEncodeError) -> BadFrame:
    first = error.errors(include_input=False, include_url=False)[0] if isinstance(error, ValidationError) else None
    if first is None or first["type"] in {"json_invalid", "string_unicode"}:
        return BadFrame("bad_json", "The message is not valid JSON.")
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return BadFrame("unknown_type", "The message has no type that is known here.")
    field = ".".join(str(part) for part in first["loc"][1:]) or "message"
    return BadFrame("bad_frame", f"The field {field!r} cannot be used: {first['msg'].lower()}.")
