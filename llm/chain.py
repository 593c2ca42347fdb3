"""A chain asks its providers in order until one answers.

The same provider is asked again only before its first piece of text. The next provider is asked also where one breaks
off in the middle: a model cannot continue what another one began, so it begins anew, and says so (`Chunk.restart`).
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

import structlog

from llm import errors, tokens
from llm.deadline import Deadline
from llm.providers.base import Provider, gather
from llm.types import Call, Chunk, Completion, Purpose, Request, Usage

log = structlog.get_logger(__name__)

# How often a provider is asked for one answer, at most.
_TRIES = 2
# Seconds before a provider that failed is asked once more. Random, so that many askers do not come back together.
_PAUSE = (0.1, 0.4)

# Models that write byte by byte make halves of characters, and NUL; no database, queue or socket takes them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Breaker(Protocol):
    """Knows which providers are not worth asking for now. What it learns it shares with all processes.

    Nobody waits for it noticeably, and it raises nothing: where it cannot know, a provider may be asked.
    """

    async def admits(self, provider: str) -> bool:
        """Whether the provider may be asked now."""
        ...

    async def succeeded(self, provider: str) -> None:
        """Learn that the provider has begun to answer."""
        ...

    async def failed(self, provider: str) -> None:
        """Learn that the provider failed, in a way that says something about it and not about the question."""
        ...

    def look_ahead(self, provider: str) -> None:
        """Find out, beside other work, whether the provider is well; claims nothing and waits for nothing."""
        ...


class AlwaysClosed:
    """A breaker that never breaks, for chains that share nothing with others."""

    async def admits(self, provider: str) -> bool:
        """Admit."""
        return True

    async def succeeded(self, provider: str) -> None:
        """Learn nothing."""

    async def failed(self, provider: str) -> None:
        """Learn nothing."""

    def look_ahead(self, provider: str) -> None:
        """Find out nothing."""


class Chain:
    """Providers in order of preference, with deadlines in seconds for the first piece and for the whole answer.

    The deadline of the first piece is what a visitor waits at most, whatever the number of providers. Each provider
    gets an equal share of what is left of it, so a silent one leaves time for the next; who fails fast costs nothing.

    `record` is told about each call once it is over, and must neither block nor raise.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        first_token_seconds: float,
        answer_seconds: float,
        purpose: Purpose = "chat",
        breaker: Breaker | None = None,
        record: Callable[[Call], None] = lambda call: None,
    ) -> None:
        self.providers = tuple(providers)
        self._first_token_seconds = first_token_seconds
        self._answer_seconds = answer_seconds
        self._purpose = purpose
        self._breaker = breaker or AlwaysClosed()
        self._record = record

    def look_ahead(self) -> None:
        """Say that there may be a request in a moment, so that what it would wait for is known by then."""
        for provider in self.providers[:1]:
            self._breaker.look_ahead(provider.name)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer; every chunk names the provider and model, and says whether they are a fallback.

        Raises NoProviderAnswered where none began to answer, and where an answer broke off and nobody could give
        another one the LLMError of that.
        """
        now = asyncio.get_running_loop().time
        answer_by = now() + self._answer_seconds
        first_by = min(now() + self._first_token_seconds, answer_by)
        failures: list[errors.LLMError] = []
        broken: errors.LLMError | None = None
        for position, provider in enumerate(self.providers):
            begin_by = now() + (first_by - now()) / (len(self.providers) - position)
            restart = broken is not None
            failure: _Failed | None = None
            # All here, because a generator of its own would be one more for each piece to go through.
            for _ in range(_TRIES):
                if failure is not None and not await _may_ask_again(provider, failure, begin_by):
                    break
                try:
                    async with self._asking(provider, request, begin_by, position > 0) as (call, chunks, deadline):
                        while (chunk := await deadline.wait_for(anext(chunks, None))) is not None:
                            if first := call.note(chunk):
                                deadline.move(answer_by)
                            chunk = _presentable(chunk, provider, position > 0)
                            yield chunk._replace(restart=True) if restart else chunk
                            restart = False
                            if first:
                                # Not before the visitor has it.
                                await self._breaker.succeeded(provider.name)
                            if deadline.passed:
                                raise TimeoutError
                    return
                except _Failed as failed:
                    failure = failed
            assert failure is not None
            failures.append(failure.error)
            log.warning("provider failed", provider=provider.name, error=str(failure.error))
            if failure.answering:
                broken = failure.error
                first_by = min(now() + self._first_token_seconds, answer_by)
                if not broken.retryable or now() >= answer_by:
                    break
        raise broken or errors.NoProviderAnswered(failures)

    async def complete(self, request: Request) -> Completion:
        """Return the whole answer; raises as `stream` does."""
        return await gather(self.stream(request), "chain")

    async def aclose(self) -> None:
        """Close every provider."""
        for provider in self.providers:
            await provider.aclose()

    @asynccontextmanager
    async def _asking(
        self, provider: Provider, request: Request, begin_by: float, fallback: bool
    ) -> AsyncGenerator[tuple["_Watch", AsyncGenerator[Chunk], Deadline]]:
        """Ask a provider once, in the body, and tell the breaker and the ledger what came of it.

        The deadline is in the loop's time, and that of the first piece. Raises _Failed where the provider fails or the
        body raises TimeoutError.
        """
        if not await self._breaker.admits(provider.name):
            raise _Failed(errors.CircuitOpen("not asked, it failed several times in a row", provider=provider.name))
        call = _Watch(self._purpose, provider, request, fallback)
        try:
            async with aclosing(provider.stream(request)) as chunks:
                with Deadline(begin_by) as deadline:
                    yield call, chunks, deadline
            return
        except TimeoutError:
            awaited = "the first token" if call.first_token_seconds is None else "the answer"
            failure: errors.LLMError = errors.TimedOut(f"{awaited} took too long", provider=provider.name)
            call.outcome = type(failure).__name__
        except errors.LLMError as error:
            failure = error
            call.outcome = type(failure).__name__
        finally:
            self._record(call.over())
        if failure.retryable:
            await self._breaker.failed(provider.name)
        elif isinstance(failure, errors.Refused | errors.TooLong):
            # It works; it is the question that does not.
            await self._breaker.succeeded(provider.name)
        raise _Failed(failure, answering=call.first_token_seconds is not None)


def _presentable(chunk: Chunk, provider: Provider, fallback: bool) -> Chunk:
    """Return a provider's chunk as a chain passes it on."""
    text = chunk.text
    if _UNSTORABLE.search(text):
        text = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    named = chunk.provider or provider.name, chunk.model or provider.model
    return Chunk(text, chunk.finish, chunk.usage, *named, fallback)


class _Watch:
    """Watches one call, for the ledger."""

    def __init__(self, purpose: Purpose, provider: Provider, request: Request, fallback: bool) -> None:
        self.outcome = "left"
        self.first_token_seconds: float | None = None
        self._purpose = purpose
        self._provider = provider.name
        self._model = provider.model
        self._request = request
        self._fallback = fallback
        self._usage = Usage()
        self._texts: list[str] = []
        self._started_at = datetime.now(UTC)
        self._clock = time.perf_counter()

    def note(self, chunk: Chunk) -> bool:
        """Note what a provider said; returns whether that was the first of it."""
        first = self.first_token_seconds is None
        if first:
            self.first_token_seconds = time.perf_counter() - self._clock
        self._texts.append(chunk.text)
        self._model = chunk.model or self._model
        if chunk.finish is not None:
            self.outcome = chunk.finish
            self._usage = chunk.usage
        return first

    def over(self) -> Call:
        """Return the call as the ledger wants it."""
        prompt, completion = self._usage.prompt_tokens, self._usage.completion_tokens
        if prompt is None and self.first_token_seconds is not None:
            prompt = tokens.estimate_prompt(self._request.messages)
        estimated = self._usage.prompt_tokens is None or completion is None
        if completion is None:
            completion = sum(map(tokens.estimate, self._texts))
        return Call(
            purpose=self._purpose,
            provider=self._provider,
            model=self._model,
            outcome=self.outcome,
            fallback=self._fallback,
            prompt_tokens=prompt or 0,
            completion_tokens=completion,
            estimated=estimated,
            started_at=self._started_at,
            first_token_seconds=self.first_token_seconds,
            total_seconds=time.perf_counter() - self._clock,
            trace_id=self._request.trace_id,
        )


async def _may_ask_again(provider: Provider, failure: "_Failed", begin_by: float) -> bool:
    """Wait until the provider may be asked once more; returns whether that can help and there is time for it."""
    pause = None if failure.answering else _pause_before_retry(failure.error)
    if pause is None or asyncio.get_running_loop().time() + pause >= begin_by:
        return False
    error = str(failure.error)
    log.info("provider is asked again", provider=provider.name, error=error, seconds=round(pause, 2))
    await asyncio.sleep(pause)
    return True


def _pause_before_retry(error: errors.LLMError) -> float | None:
    """Return the seconds to wait before the same provider is asked again, None where that cannot help."""
    if not error.retryable or isinstance(error, errors.CircuitOpen):
        return None
    jitter = random.uniform(*_PAUSE)
    if isinstance(error, errors.RateLimited) and error.retry_after is not None:
        return error.retry_after + jitter
    return jitter


class _Failed(Exception):
    """A provider failed: before it said anything, or in the middle of its answer."""

    def __init__(self, error: errors.LLMError, *, answering: bool = False) -> None:
        self.error = error
        self.answering = answering
