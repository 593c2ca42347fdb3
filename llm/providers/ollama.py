"""Ollama, through its own client."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import httpx
import ollama

from llm import errors
from llm.providers import kept
from llm.providers.base import CONNECT, SILENCE, describe, keep_contract
from llm.types import Chunk, Request, Usage


class Ollama:
    """An Ollama server."""

    def __init__(self, *, model: str, url: str, name: str = "ollama", silence_seconds: float = SILENCE) -> None:
        self.name = name
        self.model = model
        self._client = ollama.AsyncClient(
            host=url,
            # The client's own default is to wait for ever.
            timeout=httpx.Timeout(silence_seconds, connect=CONNECT),
            # Its errors have no headers, and so no Retry-After: the answer is judged before the client sees it.
            event_hooks={"request": [kept.follow], "response": [self._check_status]},
        )

    def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer in pieces."""
        return keep_contract(partial(self._pieces, request), self.name, self._translate)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _pieces(self, request: Request) -> AsyncGenerator[Chunk]:
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "options": {"num_predict": request.max_tokens, "temperature": request.temperature},
            "format": dict(request.answer_schema) if request.answer_schema is not None else None,
        }
        parts = cast(AsyncGenerator[ollama.ChatResponse], await self._client.chat(stream=True, **arguments))
        # A cut connection ends the iterator silently; only `done` is an end.
        end: Chunk | None = None
        async with aclosing(parts):
            async for part in parts:
                yield Chunk(part.message.content or "")
                end = self._end(part) if part.done else None
        if end is not None:
            yield end

    def _end(self, part: ollama.ChatResponse) -> Chunk:
        return Chunk(
            finish="length" if part.done_reason == "length" else "stop",
            usage=Usage(part.prompt_eval_count, part.eval_count),
            provider=self.name,
            model=part.model or self.model,
        )

    async def _check_status(self, response: httpx.Response) -> None:
        if response.is_error:
            raise errors.from_status(
                response.status_code,
                f"HTTP {response.status_code}",
                provider=self.name,
                retry_after=response.headers.get("retry-after"),
            )

    def _translate(self, error: Exception, begun: bool) -> errors.LLMError:
        if isinstance(error, ollama.ResponseError):
            return errors.ProviderFault("an error inside the stream", provider=self.name)
        if isinstance(error, httpx.TimeoutException):
            return errors.TimedOut("no answer in time", provider=self.name)
        if isinstance(error, httpx.TransportError):
            return kept.loss(error.request, begun)(describe(error), provider=self.name)
        return errors.BrokenAnswer(f"unreadable stream ({describe(error)})", provider=self.name)
