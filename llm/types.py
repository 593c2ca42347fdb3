"""What goes into a provider and what comes out, the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Purpose = Literal["chat", "sql"]
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


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one of a stream, and only that one, has a `finish`."""

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage = Usage()
    provider: str = ""
    model: str = ""
    # Whether another provider of the chain was asked first and failed.
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: FinishReason
    usage: Usage
    provider: str
    model: str
    fallback: bool = False
