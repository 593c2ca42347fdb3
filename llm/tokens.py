"""How many tokens a text has, without asking its model: estimates, rather too high than too low."""

import math
from collections.abc import Iterable

from llm.types import Message

# Bytes of UTF-8 for each token. English prose has about 4.5 with the tokenizers of GPT-4o, Gemini, Llama and Qwen, code
# and German about 3.5, Chinese and Arabic 2 to 4.
BYTES_PER_TOKEN = 3.0
# What the template of a chat puts around each message.
TOKENS_PER_MESSAGE = 6


def estimate(text: str) -> int:
    """Return about how many tokens a text has."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)


def estimate_prompt(messages: Iterable[Message]) -> int:
    """Return about how many tokens a model reads for these messages."""
    return sum(estimate(message.content) + TOKENS_PER_MESSAGE for message in messages)
