"""Connections that are kept open for the next question.

A server may close one at any moment, and llama.cpp's does so after each streamed answer, without saying it before. A
question that is sent before the client has noticed is lost, though nobody has read it. It is sent again then, on
another connection (RFC 9110, section 9.2.2: the client knows that asking a model twice changes nothing). On a new
connection the same failure is one of the server.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from llm import errors


class Stale(errors.Unreachable):
    """The server had closed a kept connection. Leaves no provider: `base.keep_contract` asks again."""


class Traced(Protocol):
    """A request of httpx, or of the httpx2 in the openai SDK."""

    extensions: dict[str, Any]


class _Progress:
    """How far a request came, as told by `trace` (https://www.encode.io/httpcore/extensions/#trace)."""

    def __init__(self) -> None:
        self.connected = False
        self.heard = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        _, step = event.split(".", 1)
        if step == "receive_response_headers.complete":
            self.heard = True
        elif step.startswith("connect_"):
            self.connected = True


async def follow(request: Traced) -> None:
    """Note how far a request comes; a `request` hook of httpx."""
    request.extensions["trace"] = _Progress()


def loss(request: Traced, begun: bool) -> type[errors.LLMError]:
    """Return what it means that the connection of a request was lost, `begun` where text had come."""
    if begun:
        return errors.BrokenAnswer
    progress = request.extensions["trace"]
    return errors.Unreachable if progress.connected or progress.heard else Stale
