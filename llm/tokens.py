"""How many tokens a text has, without asking its model: estimates, rather too high than too low.

The weights come from the tokenizer of SmolLM2, the model that comes along, whose vocabulary is small and English: other
models need fewer tokens for the same text (README.md has the figures). What people write in whatever language, code and
emoji are not estimated below what that tokenizer counts; what means nothing (keys, random letters) may be, down to two
fifths.
"""

import math
import re
from collections.abc import Iterable

from llm.types import Message

# What the template of a chat puts around each message.
TOKENS_PER_MESSAGE = 6
# Stands where something was left out.
ELLIPSIS = " […] "

_WORDS = re.compile(r"[A-Z]?[a-z]+")
_LETTERS_PER_TOKEN = 3
_CAPITALS = re.compile(r"[A-Z]+(?![a-z])")
_CAPITALS_PER_TOKEN = 2.5
# Digits, punctuation, line ends, indentation. A single space belongs to the word behind it.
_SINGLE = re.compile(r"[^\sA-Za-z\u0080-\U0010ffff]|[\n\r\t]| {2,}| (?![ A-Za-z])")
# Tokens for each character that is not ASCII.
_WEIGHTS = (
    (re.compile(r"[\u0370-\u03ff\u0400-\u052f\u0600-\u06ff]"), 1.0),  # Greek, Cyrillic, Arabic
    (re.compile(r"[\u0080-\u036f\u0530-\u05ff\u0700-\u07ff]"), 2.0),
    (re.compile(r"[\u10a0-\u139f\uac00-\ud7af]"), 2.8),  # Georgian, Ethiopic, Hangul
    (re.compile(r"[\u0800-\u109f\u13a0-\uabff\ud7b0-\uffff]"), 2.2),
    (re.compile(r"[\U00010000-\U0010ffff]"), 3.1),
)


def estimate(text: str) -> int:
    """Return about how many tokens a text has."""
    tokens: float = sum(math.ceil(len(word) / _LETTERS_PER_TOKEN) for word in _WORDS.findall(text))
    tokens += sum(math.ceil(len(word) / _CAPITALS_PER_TOKEN) for word in _CAPITALS.findall(text))
    tokens += len(_SINGLE.findall(text))
    if not text.isascii():
        tokens += sum(weight * len(kind.findall(text)) for kind, weight in _WEIGHTS)
    return math.ceil(tokens)


def estimate_prompt(messages: Iterable[Message]) -> int:
    """Return about how many tokens a model reads for these messages."""
    return sum(estimate(message.content) + TOKENS_PER_MESSAGE for message in messages)


def shorten(text: str, room: int) -> str:
    """Return a text of at most so many tokens: the text itself, or its beginning and its end."""
    kept = len(text)
    shortened = text
    while (tokens := estimate(shortened)) > room and kept:
        # The characters that are left are not worth what the average is, so this takes a few rounds.
        kept = min(kept - 1, kept * room // tokens)
        shortened = text[: kept - kept // 3] + ELLIPSIS + text[len(text) - kept // 3 :]
    return shortened if kept else ""
