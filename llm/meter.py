"""What the model calls of one piece of work have used, however many there were: retries, fallbacks, a stopped answer.

Chains tell the ledger of each call when it is over; they tell the meters that are running in that task, too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from llm.types import Call


class Meter:
    """Counts the tokens of calls, prompts and answers together."""

    def __init__(self) -> None:
        self.tokens = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what this task, and the tasks that it begins, use from here on."""
        token = _running.set((*_running.get(), self))
        try:
            yield
        finally:
            _running.reset(token)


_running: ContextVar[tuple[Meter, ...]] = ContextVar("running meters", default=())


def note(call: Call) -> None:
    """Add a call to the meters of this task."""
    for meter in _running.get():
        meter.tokens += call.prompt_tokens + call.completion_tokens
