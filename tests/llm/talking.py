"""Conversations as tests have them: turns that say little, and what is known of them."""

from collections.abc import Sequence

from llm import conversations
from llm.conversations import Conversation
from llm.memory import Turn
from llm.memory_store import Store


def a_turn(number: int, words: int = 60) -> Turn:
    """Return a turn with a number; of so many words is each text."""
    return Turn(f"{number:04}", f"question {number} " + "word " * words, f"answer {number} " + "word " * words)


async def opened(name: str, rows: Sequence[Turn] = (), store: Store | None = None) -> Conversation:
    """Open a conversation as another process would: sharing nothing but Redis and the rows."""

    async def load() -> Sequence[Turn]:
        return rows

    conversation = Conversation(name, load, store)
    await conversation.refresh()
    return conversation


async def add_all(conversation: Conversation, *turns: Turn) -> None:
    """Add turns, and store each."""
    for turn in turns:
        conversation.add(turn)
        await conversation.save()


async def notes_made() -> None:
    """Wait for the summaries of this process."""
    await conversations.aclose(10)


def turn_ids(conversation: Conversation) -> list[str]:
    """Return the ids of the turns in memory."""
    return [turn.id for turn in conversation.memory.turns]


def reminders(conversation: Conversation) -> str:
    """Return all that the model is told before a question."""
    return "\n".join(message.content for message in conversation.prompt("And now?"))


async def no_rows() -> Sequence[Turn]:
    """Return no turns: there are no rows."""
    return ()
