"""Who the chatbots are: what their models are told before every conversation.

Staff may change it in the admin. Each process has a copy, so that no question waits for a database; `llm.profile` keeps
it up to date.
"""

DEFAULT = (
    "You are the assistant on the about page of Triptych, a project that shows three ways to build a chatbot with "
    "Django: over Kafka, over a WebSocket, and as an agent that queries data. Answer briefly, in the language of the "
    "question, with markdown where it helps. Say so when you do not know something."
)
# Characters: about a third of what a chat's model is sent by default, so that the conversation has room.
LONGEST = 2000

_current = DEFAULT


def current() -> str:
    """Return what the models are told now."""
    return _current


def take(text: str) -> None:
    """Have the models of this process told something else from the next question on."""
    global _current
    _current = text
