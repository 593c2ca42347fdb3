"""Says sentences that were made in English (`config.sentences`) in the language of whoever reads them."""

from django.utils import translation

from config.formats import written
from config.sentences import Making, Part, Sentence, Value, filled, parts_of, restored


def translated(text: str, kept: Making | None = None) -> str:
    """Return a text in the active language; `kept` says how it was made, where it comes from a row.

    What is not known to be made like that, a model's or a person's words among it, stays as it is.
    """
    if not text or _is_english():
        return str(text)
    if kept:
        text = _remembered(text, kept)
    return " ".join(_said(part) for part in parts_of(text))


def _remembered(text: str, kept: Making) -> str:
    try:
        sentence = restored(kept)
    except (ValueError, KeyError, TypeError):
        return text
    # Another text was put in its place since.
    return sentence if sentence == text else text


def _said(part: Part) -> str:
    if isinstance(part, str):
        return translation.gettext(part) if part else part
    pattern, values = part
    return filled(translation.gettext(pattern), {name: _value(value) for name, value in values.items()})


def _value(value: Value) -> str:
    if isinstance(value, int):
        return written(value)
    return translated(value) if isinstance(value, Sentence) else value


def _is_english() -> bool:
    """Whether the active language is that of the source, or none is active."""
    return (translation.get_language() or "en").partition("-")[0] == "en"
