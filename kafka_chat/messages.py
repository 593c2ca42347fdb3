"""The contents of the Kafka messages: JSON with a version, described by pydantic models.

Readers accept every version up to their own. A newer one is not guessed at: it goes to the dead letters, from where it
can be replayed once the readers know it. So a new version may only add fields that have a default; whatever else
changes is another message, on a topic of its own.

`python -m kafka_chat.messages` writes the models' JSON schemas into kafka_chat/schemas/, for other readers.
"""

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.observability import tracing

CONTENT_TYPE = "application/json"
SCHEMAS = Path(__file__).parent / "schemas"


class UnreadableMessage(Exception):
    """The bytes are not a message that this version can read."""


class Envelope(BaseModel):
    """What all messages have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    schema_name: ClassVar[str]
    newest_version: ClassVar[int] = 1

    version: Annotated[int, Field(ge=1)] = 1
    """Of this message's schema."""
    message_id: uuid.UUID
    """The question that it is about."""
    session_id: uuid.UUID
    """The visitor who asked."""
    trace_id: uuid.UUID
    """Joins what is logged and recorded about the question."""

    def encode(self) -> bytes:
        """Return the message as it is sent: in the newest version, whichever it was read in."""
        return self.model_copy(update={"version": self.newest_version}).model_dump_json().encode()

    def key(self) -> bytes:
        """Return the Kafka key: one visitor's questions stay in order."""
        return self.session_id.bytes

    def headers(self) -> dict[str, str]:
        """Return what can be read without parsing the value."""
        return {
            "message_id": str(self.message_id),
            "trace_id": str(self.trace_id),
            "schema": f"{self.schema_name}/{self.newest_version}",
            "content_type": CONTENT_TYPE,
            **tracing.headers(self.trace_id),
        }

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """Return the message in these bytes; raises UnreadableMessage with the reason."""
        try:
            return cls.model_validate_json(value or b"")
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UnreadableMessage(f"{cls.schema_name}: {place} {first['msg']}".replace(":  ", ": ")) from None

    @model_validator(mode="before")
    @classmethod
    def _know_the_version(cls, fields: Any) -> Any:
        """Refuse a newer version before its fields, which may be others."""
        version = fields.get("version") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > cls.newest_version:
            # Not a ValueError: pydantic would make it one of many.
            raise UnreadableMessage(
                f"{cls.schema_name}: version {version} is newer than {cls.newest_version}, which is known here"
            )
        return fields

    @classmethod
    def json_schema(cls) -> str:
        """Return the JSON schema of the newest version, as it stands in its file."""
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{cls.schema_name}/{cls.newest_version}",
            **cls.model_json_schema(),
        }
        return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def json_schema_file(cls) -> Path:
        """Return where the JSON schema of the newest version is kept."""
        return SCHEMAS / f"{cls.schema_name}-{cls.newest_version}.json"


class Question(Envelope):
    """On `chatbot-questions`: a visitor asks."""

    schema_name: ClassVar[str] = "question"

    message: Annotated[str, Field(min_length=1, max_length=4000)]
    """What the visitor wrote."""


class Answer(Envelope):
    """On `chatbot-answers`: what came of a question. With an `error` (for the visitor) there is no answer.

    Of an answer that was `stopped` there is what its visitor had seen.
    """

    schema_name: ClassVar[str] = "answer"

    response: str = ""
    """The answer, Markdown."""
    error: str = ""
    """Why there is none, a sentence for the visitor."""
    stopped: bool = False
    """Whether the visitor stopped it."""
    provider: str = ""
    """Who answered."""
    model: str = ""
    """The provider's model."""
    fallback: bool = False
    """Whether another provider was to be asked first."""
    prompt_tokens: int | None = None
    """Tokens that the model read, where that is known."""
    completion_tokens: int | None = None
    """Tokens that the model wrote, where that is known."""
    first_token_at: datetime | None = None
    """When the first of them came."""


ALL: tuple[type[Envelope], ...] = (Question, Answer)


if __name__ == "__main__":
    for message in ALL:
        message.json_schema_file().write_text(message.json_schema(), encoding="utf-8")
