"""What goes into a provider and what comes out, the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

Role = Literal["system", "user", "assistant"]
Purpose = Literal["chat", "sql", "summary", "categorise"]
# "stop": the model was done; "length": `max_tokens` was reached.
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    `answer_schema` is a JSON schema; a provider passes it to the model where that is possible, but the answer must
    still be validated, because models ignore it.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 512
    temperature: float = 0.7
    answer_schema: Mapping[str, Any] | None = None
    # Joins the calls that were made for one question.
    trace_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Chunk(NamedTuple):
    """A piece of an answer. The last one of a stream, and only that one, has a `finish`.

    A tuple, because one is made for each token, and a frozen dataclass takes four times as long to make.

    Chunks of a chain all name their provider and model; `restart` says that what came before is void, because its
    provider broke off, and that another one begins the answer anew.
    """

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage = Usage()
    provider: str = ""
    model: str = ""
    # Whether another provider of the chain was to be asked first, and failed or is not asked for now.
    fallback: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: FinishReason
    usage: Usage
    provider: str
    model: str
    fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to one provider, and what came of it; kept in the ledger.

    `outcome` is "stop" or "length" for whole answers, "left" where nobody wanted the rest, and the name of the error's
    class otherwise. Tokens are the provider's own count, or where `estimated` ours. Durations are in seconds.
    """

    purpose: Purpose
    provider: str
    model: str
    outcome: str
    fallback: bool
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    started_at: datetime
    first_token_seconds: float | None
    total_seconds: float
    trace_id: UUID | None
