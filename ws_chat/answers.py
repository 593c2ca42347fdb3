"""An answer: begun, streamed, stopped or broken off, and read back later."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from llm import registry, tokens
from llm.errors import LLMError
from llm.meter import Meter
from llm.types import Chunk, Message, Request, Usage
from ws_chat.models import ChatMessage, Status

UNEXPECTED = "Something went wrong on our side. Please ask again."


class Piece(NamedTuple):
    """A piece of the answer; with `restart` the first of a new one, which replaces what came before."""

    seq: int
    text: str
    restart: bool


class Answer:
    """One run: a question, and the answer as far as it has come.

    Until it is decided how the run ended, it counts as interrupted: that is what is stored where nobody is left to
    decide.
    """

    def __init__(self, visitor_id: uuid.UUID, question: str, messages: tuple[Message, ...]) -> None:
        self.run = uuid7()
        self.trace_id = uuid.uuid4()
        self.visitor_id = visitor_id
        self.question = question
        self.started_at = timezone.now()
        self.pieces: list[str] = []
        # How many pieces before these were given up, because their provider broke off.
        self._void = 0
        self.status = Status.INTERRUPTED
        self.error = ""
        self.provider = ""
        self.model = ""
        self.fallback = False
        self.usage = Usage()
        self.first_token_ms: int | None = None
        self.total_ms = 0
        self.meter = Meter()
        self._messages = messages
        self._clock = time.perf_counter()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.pieces)

    @property
    def seq(self) -> int:
        """The number of the last piece so far."""
        return self._void + len(self.pieces)

    @property
    def most_tokens(self) -> int:
        """How many tokens the question and its answer have at most, about."""
        return tokens.estimate_prompt(self._messages) + settings.LLM_ANSWER_TOKENS

    async def stream(self) -> AsyncGenerator[Piece]:
        """Ask the model, and yield each piece as soon as it is there.

        A model's failure ends the answer and is no exception here: see `status` and `error` afterwards.
        """
        request = Request(self._messages, max_tokens=settings.LLM_ANSWER_TOKENS, trace_id=self.trace_id)
        try:
            async with aclosing(registry.chain("chat").stream(request)) as chunks:
                async for chunk in chunks:
                    self._note(chunk)
                    if chunk.restart:
                        self._void += len(self.pieces)
                        self.pieces.clear()
                    if chunk.text or chunk.restart:
                        self.pieces.append(chunk.text)
                        yield Piece(self.seq, chunk.text, chunk.restart)
            self._end(Status.DONE)
        except LLMError as error:
            self.provider = self.provider or error.provider
            self.fail(error.public)

    def stop(self, seen: int) -> None:
        """End at the person's wish, after the last piece that they have seen."""
        if not self.ended:
            del self.pieces[max(0, seen - self._void) :]
            self._end(Status.STOPPED)

    def fail(self, sentence: str) -> None:
        """End with an error, in words for the visitor."""
        self.error = sentence
        self._end(Status.ERROR)

    def interrupt(self) -> None:
        """End because the connection or the server did."""
        self._end(Status.INTERRUPTED)

    @property
    def ended(self) -> bool:
        """Whether it is decided how the run ended."""
        return self.total_ms > 0

    def _end(self, status: Status) -> None:
        if not self.ended:
            self.status = status
            self.total_ms = max(1, self._elapsed_ms())

    def _note(self, chunk: Chunk) -> None:
        if chunk.text and self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()
        self.provider, self.model, self.fallback = chunk.provider, chunk.model, chunk.fallback
        if chunk.finish is not None:
            self.usage = chunk.usage

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._clock) * 1000)


def history(visitor_id: uuid.UUID, limit: int = 20) -> list[ChatMessage]:
    """Return a visitor's latest runs, oldest first."""
    return list(ChatMessage.objects.filter(visitor_id=visitor_id).order_by("-started_at")[:limit])[::-1]
