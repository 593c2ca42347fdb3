"""Sentences that are made and kept in English, and remember how they were made, so that any language can say them.

A sentence may go to a model, to a row and to a page. The model and the row get English, as the text it is; the page
gets what `config.translating` makes of it in the reader's language. Nothing here knows Django: every layer may use it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Value = str | int
# How a sentence was made, as JSON: texts that stand for themselves, and pairs of an English pattern and its values.
Making = list[Any]
# A pattern with its values; a plain text stands for itself.
Part = str | tuple[str, Mapping[str, Value]]


class Sentence(str):
    """English text that knows its parts. Whatever is done with it as a text gives a plain one."""

    __slots__ = ("parts",)
    parts: tuple[Part, ...]

    def __deepcopy__(self, _: Any) -> "Sentence":
        """Return itself: a text does not change."""
        return self


def say(pattern: str, /, **values: Value) -> Sentence:
    """Return an English sentence: a pattern such as "The table %(name)s may not be read." with its values.

    Patterns are what catalogues translate, so they are written out where this is called. Whole numbers get separators
    of thousands; what should not have them is given as a text.
    """
    return _sentence([(pattern, values)])


def joined(*sentences: str) -> Sentence:
    """Return sentences one after the other, with a space between them; empty ones are left out."""
    return _sentence(part for sentence in sentences if sentence for part in parts_of(sentence))


def parts_of(text: str) -> tuple[Part, ...]:
    """Return how a text was made: a plain one stands for itself."""
    return text.parts if isinstance(text, Sentence) else (text,)


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """Return a pattern with its values; without any it is the text as it stands."""
    return pattern % values if values else pattern


def making(text: str) -> Making:
    """Return how a text was made, to be kept beside it as JSON."""
    return [part if isinstance(part, str) else [part[0], _plain(part[1])] for part in parts_of(text)]


def restored(kept: Making) -> Sentence:
    """Return the sentence that was made like that.

    Raises ValueError, KeyError or TypeError for what `making` never returned.
    """
    return _sentence(_parts(kept))


def _sentence(parts: Any) -> Sentence:
    known = tuple(parts)
    sentence = Sentence(
        " ".join(part if isinstance(part, str) else filled(part[0], _english(part[1])) for part in known)
    )
    sentence.parts = known
    return sentence


def _english(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}


def _plain(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: making(value) if isinstance(value, Sentence) else value for name, value in values.items()}


def _parts(kept: Making) -> Iterator[Part]:
    for part in kept:
        if isinstance(part, str):
            yield part
        else:
            pattern, values = part
            yield pattern, {name: _restored(value) for name, value in dict(values).items()}


def _restored(value: Any) -> Value:
    return restored(value) if isinstance(value, list) else value
