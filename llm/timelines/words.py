"""Timelines in words: the line under an answer, and the cells of the table."""

from collections.abc import Iterable
from decimal import Decimal

from django.utils.translation import gettext, ngettext

from config.formats import written
from llm.ledger.summary import dollars
from llm.timelines.models import Timeline

NONE = "\N{EN DASH}"


def summary(timeline: Timeline) -> str:
    """Return a timeline in a line: "first word 120 ms · done 1.9 s · 1 read, 4 writes · local"."""
    first, again = timeline.first_seen_ms, timeline.reconnects
    parts = [
        "" if first is None else gettext("first word %(duration)s") % {"duration": duration(first)},
        gettext("done %(duration)s") % {"duration": duration(timeline.seen_ms)},
        statements(timeline.reads, timeline.writes),
        ngettext("%(count)s reconnect", "%(count)s reconnects", again) % {"count": written(again)} if again else "",
        timeline.provider,
        gettext("fallback") if timeline.fallback else "",
    ]
    return " · ".join(filter(None, parts))


def duration(milliseconds: float | None) -> str:
    """Return a duration as people say it: 8.4 ms, 120 ms, 1.94 s, 83 s."""
    if milliseconds is None:
        return NONE
    if milliseconds < 9.95:
        return f"{written(milliseconds, 1)} ms"
    if milliseconds < 999.5:
        return f"{written(milliseconds)} ms"
    return f"{written(milliseconds / 1000, 2 if milliseconds < 9_995 else 1)} s"


def statements(reads: float, writes: float) -> str:
    """Return how often the database was asked: "1 read, 3.5 writes"."""
    read = ngettext("%(count)s read", "%(count)s reads", _plural(reads)) % {"count": average(reads)}
    return f"{read}, " + ngettext("%(count)s write", "%(count)s writes", _plural(writes)) % {"count": average(writes)}


def average(number: float) -> str:
    """Return a number with at most two decimal places."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return written(number, len(text.partition(".")[2]))


def tokens(timeline: Timeline) -> str:
    """Return the tokens of prompt and answer, where they are known."""
    if timeline.prompt_tokens is None and timeline.completion_tokens is None:
        return NONE
    return " + ".join(_known(number) for number in (timeline.prompt_tokens, timeline.completion_tokens))


def model(timeline: Timeline) -> str:
    """Return who answered."""
    return _joined((timeline.provider, timeline.model, gettext("fallback") if timeline.fallback else "")) or NONE


def cost(amount: Decimal | None) -> str:
    """Return an amount in dollars."""
    return gettext("unknown") if amount is None else dollars(amount)


def _known(number: int | None) -> str:
    return NONE if number is None else written(number)


def _plural(number: float) -> int:
    """Return a whole number whose form of the plural a number has: what is between two has that of many."""
    rounded = round(number, 2)
    return int(rounded) if rounded == int(rounded) else 2


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(filter(None, parts))
