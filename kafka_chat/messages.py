"""The contents of the Kafka messages: JSON with a version, described by pydantic models.

Readers accept every version up to their own. A newer one is not guessed at: it goes to the dead letters, from where it
can be replayed once the readers know it.
"""

import uuid
from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

CONTENT_TYPE = "application/json"


class UnreadableMessage(Exception):
    """The bytes are not a message that this version can read."""


class Envelope(BaseModel):
    """What all messages have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_name: ClassVar[str]
    newest_version: ClassVar[int] = 1

    version: Annotated[int, Field(ge=1)] = 1
    message_id: uuid.UUID
    session_id: uuid.UUID
    trace_id: uuid.UUID

    def encode(self) -> bytes:
        """Return the message as it is sent."""
        return self.model_dump_json().encode()

    def key(self) -> bytes:
        """Return the Kafka key: one visitor's questions stay in order."""
        return self.session_id.bytes

    def headers(self) -> dict[str, str]:
        """Return what can be read without parsing the value."""
        return {
            "message_id": str(self.message_id),
            "trace_id": str(self.trace_id),
            "schema": f"{self.schema_name}/{self.version}",
            "content_type": CONTENT_TYPE,
        }

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Return the message in these bytes; raises UnreadableMessage with the reason."""
        try:
            message = cls.model_validate_json(value or b"")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UnreadableMessage(f"{cls.schema_name}: {place} {first['msg']}".replace(":  ", ": ")) from None
        if message.version > cls.newest_version:
            raise UnreadableMessage(
                f"{cls.schema_name}: version {message.version} is newer than {cls.newest_version}, which is known here"
            )
        return message


class Question(Envelope):
    """On `chatbot-questions`: a visitor asks."""

    schema_name: ClassVar[str] = "question"

    message: Annotated[str, Field(min_length=1, max_length=4000)]


class Answer(Envelope):
    """On `chatbot-answers`: what came of a question. With an `error` (for the visitor) there is no answer."""

    schema_name: ClassVar[str] = "answer"

    response: str = ""
    error: str = ""
    provider: str = ""
    model: str = ""
    fallback: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_at: datetime | None = None
