"""Timelines in words: the line under an answer, and the cells of the table."""

from collections.abc import Iterable
from decimal import Decimal

from llm.ledger.summary import dollars
from llm.timelines.models import Timeline

NONE = "\N{EN DASH}"


def summary(timeline: Timeline) -> str:
    """Return a timeline in a line: "first word 120 ms · done 1.9 s · 1 read, 4 writes · local"."""
    parts = [
        f"first word {duration(timeline.first_seen_ms)}" if timeline.first_seen_ms is not None else "",
        f"done {duration(timeline.seen_ms)}",
        statements(timeline.reads, timeline.writes),
        counted(timeline.reconnects, "reconnect") if timeline.reconnects else "",
        timeline.provider,
        "fallback" if timeline.fallback else "",
    ]
    return " · ".join(filter(None, parts))


def duration(milliseconds: float | None) -> str:
    """Return a duration as people say it: 8.4 ms, 120 ms, 1.94 s, 83 s."""
    if milliseconds is None:
        return NONE
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 9_995 else f"{milliseconds / 1000:.1f} s"


def statements(reads: float, writes: float) -> str:
    """Return how often the database was asked: "1 read, 3.5 writes"."""
    return f"{counted(reads, 'read')}, {counted(writes, 'write')}"


def counted(number: float, noun: str) -> str:
    """Return a number, with at most two decimal places, of something."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def tokens(timeline: Timeline) -> str:
    """Return the tokens of prompt and answer, where they are known."""
    if timeline.prompt_tokens is None and timeline.completion_tokens is None:
        return NONE
    return " + ".join(_known(number) for number in (timeline.prompt_tokens, timeline.completion_tokens))


def model(timeline: Timeline) -> str:
    """Return who answered."""
    return _joined((timeline.provider, timeline.model, "fallback" if timeline.fallback else "")) or NONE


def cost(amount: Decimal | None) -> str:
    """Return an amount in dollars."""
    return "unknown" if amount is None else dollars(amount)


def _known(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(filter(None, parts))
