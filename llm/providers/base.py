"""The contract that every provider keeps, and the code that keeps it for them."""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Protocol

from llm.errors import BrokenAnswer, LLMError
from llm.providers.kept import Stale
from llm.types import Chunk, Completion, Request

# Without a byte for this long, in seconds, a connection counts as dead.
SILENCE = 60.0
# Seconds to open a connection.
CONNECT = 5.0


class Provider(Protocol):
    """A source of answers.

    `stream` yields text as it is made and ends with one chunk that has a `finish`; a stream that ends without it raises
    BrokenAnswer. Closing the generator, or cancelling the task that waits for it, closes the upstream connection.
    Every failure is an `llm.errors.LLMError` without cause and context.
    """

    name: str
    model: str

    def stream(self, request: Request) -> AsyncGenerator[Chunk]:
        """Yield the answer in pieces."""
        ...

    async def aclose(self) -> None:
        """Close connections that are kept open."""
        ...


# Turns an SDK's error into ours. Its second argument tells whether text had arrived before.
Translate = Callable[[Exception, bool], LLMError]


async def keep_contract(
    ask: Callable[[], AsyncGenerator[Chunk]], name: str, translate: Translate
) -> AsyncGenerator[Chunk]:
    """Pass on what a provider reads from its SDK when it is asked, as the contract wants it.

    Nothing follows the chunk with the `finish`. An error leaves without the SDK's error as its context: `raise ... from
    None` would only hide that, and collectors of errors look there.
    """
    begun = False
    failure: LLMError = Stale("not asked yet")
    # Each time there is one kept connection fewer, until a new one is made.
    while isinstance(failure, Stale):
        try:
            async with aclosing(ask()) as pieces:
                async for chunk in pieces:
                    if chunk.finish is not None or chunk.text:
                        yield chunk
                        begun = True
                    if chunk.finish is not None:
                        return
            failure = BrokenAnswer("the stream ended without its end mark", provider=name)
        except LLMError as error:
            failure = error
        except Exception as error:
            failure = translate(error, begun)
    failure.__cause__ = failure.__context__ = None
    raise failure


async def complete(provider: Provider, request: Request) -> Completion:
    """Return the whole answer: the same path as streaming, read to its end."""
    return await gather(provider.stream(request), provider.name)


async def gather(chunks: AsyncGenerator[Chunk], name: str) -> Completion:
    """Join a stream into one answer; what was said before a restart is dropped.

    Raises BrokenAnswer where the stream has no end mark.
    """
    text: list[str] = []
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.restart:
                text.clear()
            text.append(chunk.text)
            if chunk.finish is not None:
                return Completion(
                    "".join(text), chunk.finish, chunk.usage, chunk.provider or name, chunk.model, chunk.fallback
                )
    raise BrokenAnswer("the stream ended without its end mark", provider=name)


def describe(error: BaseException) -> str:
    """Name an error for operators: its type and, where the system gave one, the reason; never its text.

    SDK errors quote keys, addresses and answers; the system's own reasons ("Connection refused") do not.
    """
    for each in _causes(error):
        if isinstance(each, OSError) and each.errno is not None and each.strerror:
            # asyncio puts words of its own there.
            reason = os.strerror(each.errno) if isinstance(each, ConnectionError) else each.strerror
            return f"{type(error).__name__}: {reason}"
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what caused it, however the SDK wrapped it."""
    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        wrapped = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        queue += [inner for inner in wrapped if isinstance(inner, BaseException)]
        if isinstance(each, BaseExceptionGroup):
            queue += each.exceptions
