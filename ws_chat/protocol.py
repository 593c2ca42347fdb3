"""The frames of `/ws/chat/`: JSON objects with a "type", in both directions.

A client asks, resumes, stops and rates a run, clears its conversation, and pings; everything else is refused with an
`error` frame, which has a code for programs and a sentence for people. A run's `delta` frames carry sequence numbers
that grow from 1; whoever is behind gets what they missed as one frame with the number of the last. A run's `end`
carries the whole text, and the number of the last delta that belongs to it. A turn is a question with its answer, named
by its first run; asked again, it has further runs, and the newest counts. `protocol.schema.json` has all frames as a
JSON schema, and the history that is read over HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from django.utils.translation import gettext, gettext_noop
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from config.formats import written
from config.observability import tracing
from config.texts import MAX_COMMENT, MAX_LENGTH, Comment, Text

# Bytes of a client's frame: 4,000 characters, each written as a JSON escape of a surrogate pair, and some air.
MAX_FRAME = 64 * 1024

# The socket is closed with this code after so many refused frames in a row: the other side speaks another protocol.
CLOSE_MALFORMED = 4400
MAX_REFUSED = 10
# ... and with this one where the visitor's cookie is missing. It is handed out with every page.
CLOSE_NO_VISITOR = 4401
# The server restarts, or cannot go on here: connect again and resume. RFC 6455's registry has 1012 for this, but
# autobahn, which Daphne speaks through, sends no code between 1001 and 2999.
CLOSE_COME_BACK = 3012
# Nobody has used the connection for so long, in seconds: connect again when it is needed. 3008 is "Timeout" in the
# registry. Pings keep a connection open, but they are no use of it.
CLOSE_IDLE = 3008
IDLE = 30 * 60
# The page has taken nothing of what was sent for so long, in seconds: connect again and resume. 1013, "try again
# later", cannot be sent either.
CLOSE_SLOW = 3013
SLOW = 20

# How often one connection may resume: each time it may be sent a whole answer.
MAX_RESUMED = 20
# Runs that one connection is shown at once; of each, one frame may wait in memory for a page that does not read.
MAX_SHOWN = 4
# How often one connection may rate an answer or begin a new conversation, which are written at once.
MAX_WRITTEN = 100


class Refused(Exception):
    """A frame is not acceptable; `code` is for programs, `message` for people, `run` is the run that it is about."""

    def __init__(self, code: str, message: str, run: UUID | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.run = run

    @classmethod
    def busy(cls) -> "Refused":
        """The visitor has an answer on its way, in this tab or in another."""
        return cls("busy", gettext("An answer is still being written. Wait for its end, or stop it."))

    @classmethod
    def unknown_run(cls, run: UUID) -> "Refused":
        """There is no such run, it is somebody else's, or it is too long ago."""
        return cls("unknown_run", gettext("That answer is not known any more. Please reload the page."), run)

    @classmethod
    def unavailable(cls, run: UUID | None = None) -> "Refused":
        """What is needed for it cannot be reached now."""
        return cls(
            "unavailable", gettext("That is not possible at the moment. Please try again in a few seconds."), run
        )

    @classmethod
    def too_often(cls, run: UUID | None = None) -> "Refused":
        """No page does that."""
        return cls("too_often", gettext("This page has asked for that too often. Please reload it."), run)


class _ClientFrame(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ask(_ClientFrame):
    """A question. With a turn, which must be the last one, it takes the place of that one's question and answer.

    `traceparent` names what led to it in a trace of the client's own, as W3C's Trace Context has it.
    """

    type: Literal["ask"]
    text: Text
    turn: UUID | None = None
    traceparent: Annotated[str, Field(pattern=tracing.FORM)] | None = None


class Stop(_ClientFrame):
    """Ends a run. `seen` is the sequence number of the last delta that was shown: what came after it is dropped."""

    type: Literal["stop"]
    run: UUID
    seen: Annotated[int, Field(ge=0, lt=2**53)]


class Resume(_ClientFrame):
    """Shows a run from the delta after the one with the number `after` on: what was missed, then what comes."""

    type: Literal["resume"]
    run: UUID
    # Up to what JavaScript counts exactly.
    after: Annotated[int, Field(ge=0, lt=2**53)]


class Rate(_ClientFrame):
    """What the visitor thinks of an answer that has ended, in place of what they thought; None takes it back."""

    type: Literal["rate"]
    run: UUID
    rating: Literal["up", "down"] | None
    comment: Comment = ""


class Clear(_ClientFrame):
    """Begins a new conversation: what was said is shown no more, and the model is not reminded of it."""

    type: Literal["clear"]


class Ping(_ClientFrame):
    """Asks for a sign of life."""

    type: Literal["ping"]


ClientFrame = Ask | Resume | Stop | Rate | Clear | Ping


class _ServerFrame(BaseModel):
    # What has a default is always there, too.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Ready(_ServerFrame):
    """The connection may be used.

    `run` is the visitor's latest run where that is recent, also one of another page: whoever does not show it resumes
    it with `after` 0. Where the visitor began a new conversation, it consists of the turns above `after`.
    """

    type: Literal["ready"] = "ready"
    run: UUID | None = None
    after: UUID | None = None


class Started(_ServerFrame):
    """A question is accepted, perhaps another page's of this visitor; its deltas follow.

    Where the page shows the turn already, this is another version, in place of that one.
    """

    type: Literal["started"] = "started"
    run: UUID
    turn: UUID
    question: str


@dataclass(slots=True, kw_only=True)
class Delta:
    """The next piece of the answer.

    With `restart` it is the first piece of a new answer: the provider broke off, and another one begins anew. What was
    shown of the run before is void. Sequence numbers go on.
    """

    # One for each token of a model, so it is what costs least: see `encode`.
    __pydantic_config__: ClassVar[ConfigDict] = _ServerFrame.model_config

    type: Literal["delta"] = "delta"
    run: UUID
    seq: int
    text: str
    restart: bool = False


class Usage(BaseModel):
    """Tokens as the provider counted them; None where it did not say."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Timings(BaseModel):
    """Milliseconds since the question arrived; None where the process that knew was lost."""

    first_token_ms: int | None
    total_ms: int | None


class End(_ServerFrame):
    """The answer is complete, as far as it will ever be. `html` is safe to put into a page."""

    type: Literal["end"] = "end"
    run: UUID
    seq: int
    outcome: Literal["done", "stopped", "error", "interrupted"]
    text: str
    html: str
    # What to tell the visitor where the outcome is "error", otherwise empty.
    error: str
    usage: Usage
    provider: str
    model: str
    fallback: bool
    timings: Timings


class Rated(_ServerFrame):
    """What the visitor thinks of an answer is stored."""

    type: Literal["rated"] = "rated"
    run: UUID
    rating: Literal["up", "down"] | None
    comment: str


class Cleared(_ServerFrame):
    """The visitor, perhaps in another page, has begun a new conversation: it consists of the turns above `after`."""

    type: Literal["cleared"] = "cleared"
    after: UUID


class Error(_ServerFrame):
    """Something was refused. `retry_after` is in seconds, None where waiting does not help.

    `run` is the run that the client named, if it named one.
    """

    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after: int | None = None
    run: UUID | None = None


class Pong(_ServerFrame):
    """The answer to a ping."""

    type: Literal["pong"] = "pong"


ServerFrame = Ready | Started | Delta | End | Rated | Cleared | Error | Pong


class Exchange(_ServerFrame):
    """A turn of the history: its newest version."""

    turn: UUID
    question: str
    end: End
    rating: Literal["up", "down"] | None
    comment: str


class History(_ServerFrame):
    """A part of a visitor's conversation, oldest turn first; `next` is the turn before which there is more, if any."""

    exchanges: list[Exchange]
    next: UUID | None


SCHEMA = Path(__file__).with_name("protocol.schema.json")

_CLIENT_FRAMES: TypeAdapter[ClientFrame] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="type")])

_ABOUT_FRAMES = {
    "json_invalid": ("malformed", gettext_noop("The frame is not JSON.")),
    "union_tag_not_found": (
        "unknown_type",
        gettext_noop('The frame has no "type". Known types are ask, resume, stop, rate, clear and ping.'),
    ),
    "union_tag_invalid": (
        "unknown_type",
        gettext_noop("The frame's type is not known. Known types are ask, resume, stop, rate, clear and ping."),
    ),
}
_ABOUT_TEXTS = {
    ("text", "string_too_short"): ("empty_message", gettext_noop("The message is empty. Please write something.")),
    ("text", "string_too_long"): (
        "message_too_long",
        gettext_noop("The message has more than %(most)s characters. Please shorten it."),
    ),
    ("text", "value_error"): (
        "unreadable_characters",
        gettext_noop("The message has control characters in it. Please type it again."),
    ),
    ("comment", "string_too_long"): (
        "message_too_long",
        gettext_noop("The comment has more than %(most)s characters. Please shorten it."),
    ),
    ("comment", "value_error"): (
        "unreadable_characters",
        gettext_noop("The comment has control characters in it. Please type it again."),
    ),
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of all frames, what a client sends and what it is sent, and of the history."""
    sent: TypeAdapter[ServerFrame] = TypeAdapter(Annotated[ServerFrame, Field(discriminator="type")])
    by_key, described = TypeAdapter.json_schemas(
        [
            ("client", "validation", _CLIENT_FRAMES),
            ("server", "serialization", sent),
            ("history", "serialization", TypeAdapter(History)),
        ],
        title="Frames of /ws/chat/",
        ref_template="#/$defs/{model}",
    )
    return described | {"properties": {name: by_key[name, mode] for name, mode in by_key}}


@lru_cache(maxsize=2048)
def delta_encoder(run: UUID) -> Callable[[int, str, bool], str]:
    """Return what writes the deltas of a run as JSON, from their number, text and whether they restart."""
    head = f'{{"type":"delta","run":"{run}","seq":'

    def encoded(seq: int, text: str, restart: bool) -> str:
        return f'{head}{seq},"text":{encode_basestring(text)},"restart":{"true" if restart else "false"}}}'

    return encoded


def encode(frame: ServerFrame) -> str:
    """Return a frame as JSON."""
    if isinstance(frame, Delta):
        return delta_encoder(frame.run)(frame.seq, frame.text, frame.restart)
    return frame.model_dump_json()


def read(frame: str | None) -> ClientFrame:
    """Return what a client said; raises Refused. None stands for a binary frame."""
    if frame is None:
        raise Refused("binary", gettext("Binary frames are not understood. Send JSON as text."))
    if len(frame) > MAX_FRAME or len(frame.encode("utf-8", "surrogatepass")) > MAX_FRAME:
        sentence = gettext("The frame has more than %(most)s kB. Please shorten the message.")
        raise Refused("too_large", sentence % {"most": MAX_FRAME // 1024})
    try:
        return _CLIENT_FRAMES.validate_json(frame)
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
    field = first["loc"][-1] if first["loc"] else ""
    if (about := _ABOUT_TEXTS.get((field, first["type"]))) is not None:
        code, sentence = about
        most = MAX_COMMENT if field == "comment" else MAX_LENGTH
        raise Refused(code, gettext(sentence) % {"most": written(most)})
    unexpected = (
        "invalid_frame",
        gettext_noop("The frame does not have the fields that its type needs, and no others."),
    )
    code, sentence = _ABOUT_FRAMES.get(first["type"], unexpected)
    raise Refused(code, gettext(sentence))
