"""An answer: what is known of a run while it is written."""

import time
import uuid

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop
from uuid_utils.compat import uuid7

from llm import tokens
from llm.meter import Meter
from llm.types import Chunk, Message, Request, Usage
from ws_chat.models import Status
from ws_chat.records import Record

UNEXPECTED = gettext_noop("Something went wrong on our side. Please ask again.")


class Answer:
    """What is known of one run, but for its text, which its writer has.

    Until it is decided how the run ended, it counts as interrupted: that is what is stored where nobody is left to
    decide.
    """

    def __init__(
        self, visitor_id: uuid.UUID, question: str, messages: tuple[Message, ...], turn: uuid.UUID | None = None
    ) -> None:
        self.run = uuid7()
        # Of an answer that takes the place of an earlier one: the turn that both belong to.
        self.turn = turn or self.run
        # A run is one question to the model: its id joins what is recorded of it everywhere, the page's own words too.
        self.trace_id = self.run
        self.visitor_id = visitor_id
        self.question = question
        self.started_at = timezone.now()
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
    def most_tokens(self) -> int:
        """How many tokens the question and its answer have at most, about."""
        return tokens.estimate_prompt(self._messages) + settings.LLM_ANSWER_TOKENS

    @property
    def ended(self) -> bool:
        """Whether it is decided how the run ended."""
        return self.total_ms > 0

    @property
    def request(self) -> Request:
        """What the model is asked."""
        return Request(self._messages, max_tokens=settings.LLM_ANSWER_TOKENS, trace_id=self.trace_id)

    def note(self, chunk: Chunk) -> None:
        """Note what the model said next."""
        if chunk.text and self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()
        self.provider, self.model, self.fallback = chunk.provider, chunk.model, chunk.fallback
        if chunk.finish is not None:
            self.usage = chunk.usage

    def fail(self, sentence: str) -> None:
        """End with an error, in words for the visitor."""
        if not self.ended:
            self.error = sentence
            self.end(Status.ERROR)

    def end(self, status: Status) -> None:
        """Decide how the run ended; only the first time counts."""
        if not self.ended:
            self.status = status
            self.total_ms = max(1, self._elapsed_ms())

    def record(self, text: str) -> Record:
        """Return what the audit log keeps of the run, with this much of its text."""
        return Record(
            run_id=self.run,
            turn_id=self.turn,
            visitor_id=self.visitor_id,
            question=self.question,
            answer=text,
            status=self.status,
            error=self.error,
            provider=self.provider,
            model=self.model,
            fallback=self.fallback,
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            started_at=self.started_at,
            first_token_ms=self.first_token_ms,
            total_ms=self.total_ms,
            trace_id=self.trace_id,
        )

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._clock) * 1000)
