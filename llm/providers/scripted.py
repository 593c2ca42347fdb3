"""A provider that is no model: it answers from a script, at a set pace, and says so.

Tests and benchmarks use it where timing and content must be exact. The script is a JSON file with a list of scenes;
the first whose `contains` is part of the last user message plays:

    [{"contains": "slow", "answer": "word by word", "first_ms": 500, "token_ms": 50},
     {"contains": "busy", "error": "rate limited", "retry_after": 2},
     {"contains": "cut", "answer": "this breaks off", "error": "broken"}]

`schema` restricts a scene to requests with (true) or without (false) an answer schema. A scene with both an answer and
an error fails after its answer. Without a fitting scene it repeats the question.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from llm import errors
from llm.types import Chunk, Request, Usage

Failure = Literal["unreachable", "timeout", "rate limited", "fault", "broken", "rejected", "too long", "refused"]

_ERRORS: dict[Failure, type[errors.LLMError]] = {
    "unreachable": errors.Unreachable,
    "timeout": errors.TimedOut,
    "fault": errors.ProviderFault,
    "broken": errors.BrokenAnswer,
    "rejected": errors.Rejected,
    "too long": errors.TooLong,
    "refused": errors.Refused,
}


class Scene(BaseModel):
    """What is answered to a question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contains: str = ""
    # "any": whether or not an answer schema is asked for.
    schema_wanted: bool | Literal["any"] = Field("any", alias="schema")
    answer: str = ""
    error: Failure | None = None
    # Seconds, for the error "rate limited".
    retry_after: float | None = Field(None, ge=0)
    first_ms: float = Field(0, ge=0)
    token_ms: float = Field(0, ge=0)


_SCENES = TypeAdapter(tuple[Scene, ...])
_ECHO = "This is a scripted answer, no model was asked. You said: "


def load(path: Path) -> tuple[Scene, ...]:
    """Read a script; raises ValueError where it is not one."""
    return _SCENES.validate_python(json.loads(path.read_text(encoding="utf-8")))


class Scripted:
    """Plays scenes."""

    model = "script"

    def __init__(self, scenes: Sequence[Scene] = (), *, name: str = "scripted") -> None:
        self.name = name
        self._scenes = scenes

    async def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the scene's answer word by word, at its pace."""
        question = next((m.content for m in reversed(request.messages) if m.role == "user"), "")
        scene = self._scene(question, with_schema=request.answer_schema is not None)
        words = re.findall(r"\S+\s*|\s+", scene.answer)
        now = asyncio.get_running_loop().time
        begin = now() + scene.first_ms / 1000
        await asyncio.sleep(scene.first_ms / 1000)
        for position, word in enumerate(words[: request.max_tokens]):
            left = begin + position * scene.token_ms / 1000 - now()
            # What is late does not make the next ones late: they are there at once, as in a connection's buffer.
            if position and (left > 0 or not scene.token_ms):
                await asyncio.sleep(left)
            yield Chunk(word)
        if scene.error:
            raise self._failure(scene.error, scene.retry_after)
        prompt = sum(len(message.content.split()) for message in request.messages)
        yield Chunk(
            finish="length" if len(words) > request.max_tokens else "stop",
            usage=Usage(prompt, min(len(words), request.max_tokens)),
            provider=self.name,
            model=self.model,
        )

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _scene(self, question: str, *, with_schema: bool) -> Scene:
        for scene in self._scenes:
            if scene.schema_wanted in ("any", with_schema) and scene.contains.lower() in question.lower():
                return scene
        return Scene(answer=_ECHO + question)

    def _failure(self, failure: Failure, retry_after: float | None) -> errors.LLMError:
        detail = "the script says so"
        if failure == "rate limited":
            return errors.RateLimited(detail, provider=self.name, retry_after=retry_after)
        return _ERRORS[failure](detail, provider=self.name)
