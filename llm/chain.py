"""A chain asks its providers in order until one answers.

Another try, of the same provider or of the next, is made only before the first piece of text: after it, a visitor has
seen the beginning of an answer that nobody else would continue.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from llm import errors
from llm.providers.base import Provider, gather
from llm.types import Chunk, Completion, Request

log = structlog.get_logger(__name__)

# Seconds before a provider that failed is asked once more. Random, so that many askers do not come back together.
_PAUSE = (0.1, 0.4)


# Models that write byte by byte make halves of characters, and NUL; no database, queue or socket takes them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Chain:
    """Providers in order of preference, with deadlines in seconds for the first piece and for the whole answer.

    The deadline of the first piece is what a visitor waits at most, whatever the number of providers. Each provider
    gets an equal share of what is left of it, so a silent one leaves time for the next; who fails fast costs nothing.
    """

    def __init__(self, providers: Sequence[Provider], *, first_token_seconds: float, answer_seconds: float) -> None:
        self.providers = tuple(providers)
        self._first_token_seconds = first_token_seconds
        self._answer_seconds = answer_seconds

    async def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer; the last chunk names the provider and says whether it was a fallback.

        Raises NoProviderAnswered where none began to answer, and the provider's own LLMError where an answer broke off.
        """
        now = asyncio.get_running_loop().time
        answer_by = now() + self._answer_seconds
        first_by = min(now() + self._first_token_seconds, answer_by)
        failures: list[errors.LLMError] = []
        for position, provider in enumerate(self.providers):
            begin_by = now() + (first_by - now()) / (len(self.providers) - position)
            try:
                async with aclosing(_insist(provider, request, begin_by, answer_by)) as chunks:
                    async for chunk in chunks:
                        text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", chunk.text)
                        yield replace(chunk, text=text, fallback=position > 0 and chunk.finish is not None)
                return
            except _BeforeFirstToken as failure:
                failures.append(failure.error)
                log.warning("provider failed", provider=provider.name, error=str(failure.error))
        raise errors.NoProviderAnswered(failures)

    async def complete(self, request: Request) -> Completion:
        """Return the whole answer; raises as `stream` does."""
        return await gather(self.stream(request), "chain")

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self.providers:
            await provider.aclose()


async def _insist(provider: Provider, request: Request, begin_by: float, answer_by: float) -> AsyncGenerator[Chunk]:
    """Ask a provider, and once more where that can help and there is time for it."""
    try:
        async with aclosing(_ask(provider, request, begin_by, answer_by)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    except _BeforeFirstToken as failure:
        pause = _pause_before_retry(failure.error)
        if pause is None or asyncio.get_running_loop().time() + pause >= begin_by:
            raise
        log.info("provider is asked again", provider=provider.name, error=str(failure.error), seconds=round(pause, 2))
    await asyncio.sleep(pause)
    async with aclosing(_ask(provider, request, begin_by, answer_by)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _ask(provider: Provider, request: Request, begin_by: float, answer_by: float) -> AsyncGenerator[Chunk]:
    """Ask a provider once, within the deadlines (in the loop's time)."""
    deadline = begin_by
    answering = False
    async with aclosing(provider.stream(request)) as chunks:
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                late = "the answer" if answering else "the first token"
                error: errors.LLMError = errors.TimedOut(f"{late} took too long", provider=provider.name)
            except errors.LLMError as caught:
                error = caught
            else:
                if chunk is None:
                    return
                answering = True
                deadline = answer_by
                yield chunk
                continue
            raise error if answering else _BeforeFirstToken(error)


def _pause_before_retry(error: errors.LLMError) -> float | None:
    """Return the seconds to wait before the same provider is asked again, None where that cannot help."""
    if not error.retryable:
        return None
    jitter = random.uniform(*_PAUSE)
    if isinstance(error, errors.RateLimited) and error.retry_after is not None:
        return error.retry_after + jitter
    return jitter


class _BeforeFirstToken(Exception):
    """A provider failed before it said anything."""

    def __init__(self, error: errors.LLMError) -> None:
        self.error = error
