"""What this connection has talked about: the turns that the model is reminded of."""

from collections import deque

from llm.persona import SYSTEM_PROMPT
from llm.types import Message

MAX_TURNS = 6
# Of the question and the turns before it, together: small local models have room for little more.
MAX_CHARACTERS = 6000


class Conversation:
    """The last turns, in memory only: while tokens flow nothing is read from a database."""

    def __init__(self) -> None:
        self._turns: deque[tuple[str, str]] = deque(maxlen=MAX_TURNS)

    def add(self, question: str, answer: str) -> None:
        """Remember a turn."""
        self._turns.append((question, answer))

    def messages(self, question: str) -> tuple[Message, ...]:
        """Return what to send to the model: the persona, the latest turns that fit, and the question."""
        room = MAX_CHARACTERS - len(question)
        turns: list[Message] = []
        for earlier, answer in reversed(self._turns):
            room -= len(earlier) + len(answer)
            if room < 0:
                break
            turns[:0] = [Message("user", earlier), Message("assistant", answer)]
        return Message("system", SYSTEM_PROMPT), *turns, Message("user", question)
