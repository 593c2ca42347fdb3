"""Joins what the browser saw with what the servers say, on the browser's clock.

There are two kinds of clocks. The browser's tells milliseconds since it sent the question, and nothing else: it is
never compared with a server's, which may differ from it by minutes. The servers' tell moments, of one machine or of
several, whose operators keep them together (NTP); of these only differences count, from the question's arrival on.

Where the arrival lies on the browser's clock follows from one round trip, as NTP has it (RFC 5905, section 8): the
acceptance was back after so many milliseconds, of which the server says how many it had the question; of the rest half
was the way there. The error is at most the other half.

What servers say is then held against what must be so: their marks come about in order, and nothing is seen before it
was made. Clocks that are apart by more than the network takes would contradict that; such a mark is moved to the
nearest moment that does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from llm.timelines.marks import Mark

# In whose order a question passes them. The WebSocket chat stores when the answer is on its way already.
_ORDER: Mapping[str, Sequence[Mark]] = {
    "kafka": ("accepted", "written", "published", "picked_up", "first_token", "last_token", "stored"),
    "websocket": ("accepted", "picked_up", "first_token", "last_token", "stored"),
}
# What the server does before it tells the browser that the question is accepted.
_LAST_BEFORE_REPLY: Mapping[str, Mark] = {"kafka": "written", "websocket": "picked_up"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a browser measured, in milliseconds since it sent the question; never decreasing.

    `first` is None where no text came.
    """

    accepted: float
    first: float | None
    end: float


def join(chat: str, marks: Mapping[Mark, datetime], seen: Seen) -> dict[Mark, float]:
    """Return the servers' marks in milliseconds since the browser sent the question, in the order of the chat.

    Nothing is known without the arrival, which begins the servers' time.
    """
    arrival = marks.get("accepted")
    if arrival is None:
        return {}
    since = {mark: _milliseconds(marks[mark], arrival) for mark in _ORDER[chat] if mark in marks}
    held = max(0.0, since.get(_LAST_BEFORE_REPLY[chat], 0.0))
    way_there = max(0.0, seen.accepted - held) / 2
    joined: dict[Mark, float] = {}
    latest = 0.0
    for mark, milliseconds in since.items():
        latest = joined[mark] = max(latest, way_there + milliseconds)
    return _not_after(joined, _limits(chat, seen))


def _limits(chat: str, seen: Seen) -> dict[Mark, float]:
    limits: dict[Mark, float] = {_LAST_BEFORE_REPLY[chat]: seen.accepted, "last_token": seen.end}
    if seen.first is not None:
        limits["first_token"] = seen.first
    if chat == "kafka":
        # Its browser is told the end from the row.
        limits["stored"] = seen.end
    return limits


def _not_after(joined: Mapping[Mark, float], limits: Mapping[Mark, float]) -> dict[Mark, float]:
    """Move marks that are above a limit of their own or of a later one down to it; the order stays."""
    limit = float("inf")
    moved: dict[Mark, float] = {}
    for mark in reversed(tuple(joined)):
        limit = min(limit, limits.get(mark, limit))
        moved[mark] = min(joined[mark], limit)
    return dict(reversed(tuple(moved.items())))


def _milliseconds(moment: datetime, since: datetime) -> float:
    return (moment - since).total_seconds() * 1000
