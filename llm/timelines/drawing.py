"""Timelines above each other on one scale: what the template draws as SVG, and the table that says the same.

Places and widths are percentages of the drawing's width, so bars stretch with the page and letters do not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext, gettext_noop

from config.formats import written
from llm.timelines import words
from llm.timelines.models import Timeline

# Units of the drawing, which are pixels.
LANE = 46
BAR = 14
_BAR_BELOW = 22
_AXIS = 22
# At most so many parts of the scale.
_STEPS = 5

Phase = Literal["way", "storing", "waiting", "thinking", "writing", "end"]

# What a question is busy with until a mark.
_UNTIL: Mapping[str, Phase] = {
    "accepted": "way",
    "written": "storing",
    "published": "waiting",
    "picked_up": "waiting",
    "first_token": "thinking",
    "last_token": "writing",
    "seen": "end",
}
LEGEND: Mapping[Phase, str] = {
    "way": gettext_noop("on the way to the server"),
    "storing": gettext_noop("being written down"),
    "waiting": gettext_noop("waiting to be picked up"),
    "thinking": gettext_noop("until the model's first token"),
    "writing": gettext_noop("the model writes"),
    "end": gettext_noop("until the browser shows the end"),
}
_NAMES: Mapping[str, str] = {
    "sent": gettext_noop("sent by the browser"),
    "accepted": gettext_noop("accepted"),
    "written": gettext_noop("written"),
    "accepted_seen": gettext_noop("acceptance seen"),
    "published": gettext_noop("published"),
    "picked_up": gettext_noop("picked up"),
    "first_token": gettext_noop("first token"),
    "first_seen": gettext_noop("first text seen"),
    "last_token": gettext_noop("last token"),
    "stored": gettext_noop("stored"),
    "seen": gettext_noop("end seen"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a bar. Places are percentages."""

    phase: Phase
    x: str
    width: str
    tip: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One timeline, ready to be drawn."""

    title: str
    summary: str
    trace: str
    parts: list[Part]
    # Where the first text was seen, and the row stored: percentages, empty where that is not known.
    first_seen: str
    stored: str
    # In pixels from the drawing's top.
    title_y: int
    bar_y: int

    @property
    def middle(self) -> int:
        """Where the mark of the first sight is, in pixels from the top."""
        return self.bar_y + BAR // 2

    @property
    def bar_end(self) -> int:
        """Where the bar ends, in pixels from the top."""
        return self.bar_y + BAR


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the scale."""

    x: str
    text: str
    anchor: Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the template draws."""

    name: str
    sentence: str
    lanes: list[Lane]
    ticks: list[Tick]
    legend: list[tuple[Phase, str]]
    height: int
    axis_y: int
    # A name and a cell for each lane: moments, then facts.
    moments: list[tuple[str, list[str]]]
    facts: list[tuple[str, list[str]]]


def of(timelines: Sequence[Timeline]) -> Drawing:
    """Return the drawing of at least one timeline."""
    longest = max(*(max([each.seen_ms, *each.marks.values()]) for each in timelines), 1.0)
    lanes = [_lane(number, each, longest) for number, each in enumerate(timelines)]
    shown = {part.phase for lane in lanes for part in lane.parts}
    bottom = LANE * len(lanes)
    return Drawing(
        name=f"timeline-{timelines[0].trace_id}-{len(timelines)}",
        sentence=" ".join(f"{lane.title}: {lane.summary}." for lane in lanes),
        lanes=lanes,
        ticks=_ticks(longest),
        legend=[(phase, gettext(text)) for phase, text in LEGEND.items() if phase in shown],
        height=bottom + _AXIS,
        axis_y=bottom,
        moments=_moments(timelines),
        facts=[(gettext(name), [cell(each) for each in timelines]) for name, cell in _FACTS.items()],
    )


def moments_of(timeline: Timeline) -> dict[str, float]:
    """Return all that is known of when something happened, in the order of time."""
    known: dict[str, float | None] = {
        "sent": 0.0,
        **timeline.marks,
        "accepted_seen": timeline.accepted_seen_ms,
        "first_seen": timeline.first_seen_ms,
        "seen": timeline.seen_ms,
    }
    order = list(_NAMES)
    named = {name: moment for name, moment in known.items() if moment is not None}
    return dict(sorted(named.items(), key=lambda each: (each[1], order.index(each[0]))))


def _lane(number: int, timeline: Timeline, longest: float) -> Lane:
    title = _title(timeline)
    first, stored = timeline.first_seen_ms, timeline.marks.get("stored")
    return Lane(
        title=title,
        summary=words.summary(timeline),
        trace=str(timeline.trace_id),
        parts=_parts(timeline, longest),
        first_seen="" if first is None else _percent(first, longest),
        stored="" if stored is None else _percent(stored, longest),
        title_y=LANE * number + _BAR_BELOW - 8,
        bar_y=LANE * number + _BAR_BELOW,
    )


def _parts(timeline: Timeline, longest: float) -> list[Part]:
    parts = []
    begin = 0.0
    moments = timeline.marks | {"seen": timeline.seen_ms}
    for mark, phase in _UNTIL.items():
        end = min(moments.get(mark, begin), timeline.seen_ms)
        if end > begin:
            tip = f"{gettext(LEGEND[phase])}: {words.duration(end - begin)}"
            parts.append(Part(phase, _percent(begin, longest), _percent(end - begin, longest), tip))
        begin = max(begin, end)
    return parts


def _ticks(longest: float) -> list[Tick]:
    step = _step(longest / _STEPS)
    places = [number * step for number in range(math.floor(longest / step) + 1)]
    # The last one's letters must not leave the drawing.
    return [
        Tick(_percent(place, longest), words.duration(place) if place else "0", _anchor(place / longest))
        for place in places
    ]


def _anchor(share: float) -> Literal["start", "middle", "end"]:
    if share < 0.05:
        return "start"
    return "end" if share > 0.95 else "middle"


def _step(least: float) -> float:
    """Return the next number of milliseconds that is easy to count in."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= least * (1 - 1e-9))


def _moments(timelines: Sequence[Timeline]) -> list[tuple[str, list[str]]]:
    known = [moments_of(each) for each in timelines]
    return [
        (gettext(text), [words.duration(each[name]) if name in each else words.NONE for each in known])
        for name, text in _NAMES.items()
        if name != "sent" and any(name in each for each in known)
    ]


def _title(timeline: Timeline) -> str:
    return f"{timeline.get_chat_display()}, {timeline.get_transport_display()}"


def _percent(milliseconds: float, longest: float) -> str:
    return f"{100 * milliseconds / longest:.2f}%"


_FACTS: Mapping[str, Callable[[Timeline], str]] = {
    gettext_noop("database"): lambda each: words.statements(each.reads, each.writes),
    gettext_noop("database, beside it"): lambda each: words.statements(each.beside_reads, each.beside_writes),
    gettext_noop("reconnects"): lambda each: written(each.reconnects),
    gettext_noop("model"): words.model,
    gettext_noop("tokens, prompt + answer"): words.tokens,
    gettext_noop("cost"): lambda each: words.cost(each.cost),
}
