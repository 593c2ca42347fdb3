"""The frames of `/ws/chat/`: JSON objects with a "type", in both directions.

A client asks, stops a run and pings; everything else is refused with an `error` frame, which has a code for programs
and a sentence for people. A run's `delta` frames carry contiguous sequence numbers that start at 1; its `end` carries
the whole text, and the number of the last delta that belongs to it.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from config.texts import MAX_LENGTH, Text

# Bytes of a client's frame: 4,000 characters, each written as a JSON escape of a surrogate pair, and some air.
MAX_FRAME = 64 * 1024

# The socket is closed with this code after so many refused frames in a row: the other side speaks another protocol.
CLOSE_MALFORMED = 4400
MAX_REFUSED = 10
# ... and with this one where the visitor's cookie is missing. It is handed out with every page.
CLOSE_NO_VISITOR = 4401


class Refused(Exception):
    """A frame is not acceptable; `code` is for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _ClientFrame(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ask(_ClientFrame):
    """A question."""

    type: Literal["ask"]
    text: Text


class Stop(_ClientFrame):
    """Ends a run. `seen` is the sequence number of the last delta that was shown: what came after it is dropped."""

    type: Literal["stop"]
    run: UUID
    seen: Annotated[int, Field(ge=0)]


class Ping(_ClientFrame):
    """Asks for a sign of life."""

    type: Literal["ping"]


ClientFrame = Ask | Stop | Ping


class Ready(BaseModel):
    """The connection may be used."""

    type: Literal["ready"] = "ready"


class Started(BaseModel):
    """The question is accepted."""

    type: Literal["started"] = "started"
    run: UUID


class Delta(BaseModel):
    """The next piece of the answer.

    With `restart` it is the first piece of a new answer: the provider broke off, and another one begins anew. What was
    shown of the run before is void. Sequence numbers go on.
    """

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
    """Milliseconds since the question arrived."""

    first_token_ms: int | None
    total_ms: int


class End(BaseModel):
    """The answer is complete, as far as it will ever be. `html` is safe to put into a page."""

    type: Literal["end"] = "end"
    run: UUID
    seq: int
    outcome: Literal["done", "stopped", "error"]
    text: str
    html: str
    # What to tell the visitor where the outcome is "error", otherwise empty.
    error: str
    usage: Usage
    provider: str
    model: str
    fallback: bool
    timings: Timings


class Error(BaseModel):
    """Something was refused. `retry_after` is in seconds, None where waiting does not help."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after: int | None = None


class Pong(BaseModel):
    """The answer to a ping."""

    type: Literal["pong"] = "pong"


ServerFrame = Ready | Started | Delta | End | Error | Pong

_CLIENT_FRAMES: TypeAdapter[ClientFrame] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="type")])

_ABOUT_FRAMES = {
    "json_invalid": ("malformed", "The frame is not JSON."),
    "union_tag_not_found": ("unknown_type", 'The frame has no "type". Known types are ask, stop and ping.'),
    "union_tag_invalid": ("unknown_type", "The frame's type is not known. Known types are ask, stop and ping."),
}
_ABOUT_TEXTS = {
    "string_too_short": ("empty_message", "The message is empty. Please write something."),
    "string_too_long": (
        "message_too_long",
        f"The message has more than {MAX_LENGTH:,} characters. Please shorten it.",
    ),
    "value_error": ("unreadable_characters", "The message has control characters in it. Please type it again."),
}


def read(frame: str | None) -> ClientFrame:
    """Return what a client said; raises Refused. None stands for a binary frame."""
    if frame is None:
        raise Refused("binary", "Binary frames are not understood. Send JSON as text.")
    if len(frame) > MAX_FRAME or len(frame.encode("utf-8", "surrogatepass")) > MAX_FRAME:
        raise Refused("too_large", f"The frame has more than {MAX_FRAME // 1024} kB. Please shorten the message.")
    try:
        return _CLIENT_FRAMES.validate_json(frame)
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
    if first["loc"] == ("ask", "text") and first["type"] in _ABOUT_TEXTS:
        raise Refused(*_ABOUT_TEXTS[first["type"]])
    unexpected = ("invalid_frame", "The frame does not have the fields that its type needs, and no others.")
    raise Refused(*_ABOUT_FRAMES.get(first["type"], unexpected))
