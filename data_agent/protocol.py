"""The frames on `/ws/data-agent/`: JSON objects with a `type`.

    client    open {session?}             answered by ready, and by another one whenever another page changes it
              ask {text, session?}        answered by working, then step
              reply {step, text}          to a step in the state "asking"; answered by two steps: replied, and the next
              check {step, sql, number}   while a person types: answered by verdict, of the newest text only; nothing is
                                          kept, and nothing can be approved by it
              edit {step, sql}            answered by step
              approve {step, sha256}      answered by step for each stage: approved, executed, then answered, or
                                          continued and the next step of the question; where a model's query failed,
                                          failed and another proposal
              reject {step, reason?}      answered by step, and by another proposal where there is a reason
              skip {step}                 answered by step
              stop {}                     ends what is being worked on
              share {session, person}     a user name; answered by shared
              unshare {session, person}   answered by shared
              verify {step}, unverify {step}    staff only; answered by step
              ping {}                     answered by pong
    server    ready, working {what}, step, verdict, shared {session, shared_with}, error {code, message}, pong

Close codes: 4401 not signed in, 4403 without the permission, 4400 after `MAX_BAD_FRAMES` unusable frames in a row.
"""

import uuid
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from config import texts
from config.sentences import say
from data_agent.audit import Person
from data_agent.models import Session, Step
from data_agent.step_data import Frame, StepData

MAX_FRAME_BYTES = 64 * 1024
MAX_QUESTION = texts.MAX_LENGTH
MAX_BAD_FRAMES = 10
CLOSE_BAD_FRAMES = 4400
CLOSE_NOT_SIGNED_IN = 4401
CLOSE_NOT_ALLOWED = 4403
# What the rows of earlier steps may take in a ready frame; the oldest are left out first.
MAX_HISTORY_CELLS = 20_000


class Open(Frame):
    """Show a session; without an id the newest one."""

    type: Literal["open"]
    session: uuid.UUID | None = None


class Ask(Frame):
    """Ask a question; without a session it begins one."""

    type: Literal["ask"]
    text: str
    session: uuid.UUID | None = None


class Reply(Frame):
    """Answer what the model asked."""

    type: Literal["reply"]
    step: uuid.UUID
    text: str


class Check(Frame):
    """Ask what the guard says of a text that is being typed; `number` comes back with the verdict."""

    type: Literal["check"]
    step: uuid.UUID
    sql: str
    number: int = Field(0, ge=0, le=2**53)


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


class Sharing(Frame):
    """Let another analyst read a conversation, or no longer."""

    type: Literal["share", "unshare"]
    session: uuid.UUID
    person: str = Field(min_length=1, max_length=150)


class Verify(Frame):
    """Mark a step's question and query as right, or no longer; staff only."""

    type: Literal["verify", "unverify"]
    step: uuid.UUID


class Ping(Frame):
    """Ask whether the connection is alive."""

    type: Literal["ping"]


ClientFrame = Annotated[
    Open | Ask | Reply | Check | Edit | Approve | Reject | Skip | Stop | Sharing | Verify | Ping,
    Field(discriminator="type"),
]
_CLIENT: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)


class Ready(Frame):
    """The session and its steps; None where there is none yet."""

    type: Literal["ready"] = "ready"
    session: uuid.UUID | None
    title: str
    # Whether it is this person's own; who may only read it is refused with `not_allowed`.
    mine: bool = True
    owner: str = ""
    # User names; shown to the owner only.
    shared_with: tuple[str, ...] = ()
    # Whether this person may mark questions as verified.
    may_verify: bool = False
    steps: tuple[StepData, ...]


class Working(Frame):
    """Something has begun that takes a while."""

    type: Literal["working"] = "working"
    what: Literal["proposing", "checking", "running", "answering"]


class StepChanged(Frame):
    """A step is new or changed."""

    type: Literal["step"] = "step"
    step: StepData


class Checked(Frame):
    """What the guard says of the text of a `check`; the estimate is None where it would not run."""

    type: Literal["verdict"] = "verdict"
    step: uuid.UUID
    number: int
    allowed: bool
    tables: tuple[str, ...]
    columns_read: tuple[str, ...]
    masked: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    estimated_rows: int | None
    estimated_cost: float | None


class Shared(Frame):
    """Who may read a conversation besides its owner."""

    type: Literal["shared"] = "shared"
    session: uuid.UUID
    shared_with: tuple[str, ...]


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


ServerFrame = Ready | Working | StepChanged | Checked | Shared | Error | Pong


class BadFrame(Exception):
    """A frame that cannot be used; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.sentence = message


def parse(text: str | None) -> ClientFrame:
    """Return a client's frame; raises BadFrame where it is none or its question is empty or too long."""
    if text is None:
        raise BadFrame("bad_frame", say("Frames must be JSON text."))
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise BadFrame("too_long", say("A message may have at most %(most)s kB.", most=MAX_FRAME_BYTES // 1024))
    try:
        frame = _CLIENT.validate_json(text)
    except (ValidationError, UnicodeEncodeError) as error:
        raise _unusable(error) from None
    if isinstance(frame, Ask | Reply):
        return frame.model_copy(
            update={"text": _question(frame.text) if isinstance(frame, Ask) else _reply(frame.text)}
        )
    return frame


def _question(text: str) -> str:
    text = text.strip()
    if not text:
        raise BadFrame("empty", say("The question is empty. Write what you would like to know."))
    if len(text) > MAX_QUESTION:
        raise BadFrame(
            "too_long",
            say("The question has %(length)s characters; %(most)s are allowed.", length=len(text), most=MAX_QUESTION),
        )
    return text


def _reply(text: str) -> str:
    text = text.strip()
    if not text:
        raise BadFrame("empty", say("The reply is empty. Write what you would like to know."))
    if len(text) > MAX_QUESTION:
        raise BadFrame(
            "too_long",
            say("The reply has %(length)s characters; %(most)s are allowed.", length=len(text), most=MAX_QUESTION),
        )
    return text


def ready(session: Session | None, steps: Iterable[Step], viewer: Person) -> Ready:
    """Return the frame that shows a session; rows of old steps are left out where they would be too many."""
    shown: list[StepData] = []
    cells = 0
    for step in reversed(list(steps)):
        cells += len(step.rows) * len(step.columns)
        shown.append(StepData.of(step, viewer, with_rows=cells <= MAX_HISTORY_CELLS))
    if session is None:
        return Ready(session=None, title="", may_verify=viewer.staff, steps=())
    mine = session.owner_id == viewer.id
    return Ready(
        session=session.pk,
        title=session.title,
        mine=mine,
        owner=session.owner.get_username(),
        shared_with=tuple(share.person.get_username() for share in session.shares.all()) if mine else (),
        may_verify=viewer.staff and mine,
        steps=tuple(reversed(shown)),
    )


def _unusable(error: ValidationError | UnicodeEncodeError) -> BadFrame:
    first = error.errors(include_input=False, include_url=False)[0] if isinstance(error, ValidationError) else None
    if first is None or first["type"] in {"json_invalid", "string_unicode"}:
        return BadFrame("bad_json", say("The message is not valid JSON."))
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return BadFrame("unknown_type", say("The message has no type that is known here."))
    field = ".".join(str(part) for part in first["loc"][1:]) or "message"
    sentence = say("The field %(field)s cannot be used: %(problem)s.", field=repr(field), problem=first["msg"].lower())
    return BadFrame("bad_frame", sentence)
