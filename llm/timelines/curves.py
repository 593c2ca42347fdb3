"""The statistics by day as curves, a drawing for each measure: plain SVG without styles of its own.

Each way keeps its number, by which the page's sheet gives it a colour and the template a shape, whichever ways there
are in a period. Within a day the ways stand beside each other, so that equal figures do not hide one another, and a
single day is a drawing too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_noop

from config.plots import round_up
from llm.timelines import words
from llm.timelines.models import Chat, Transport
from llm.timelines.statistics import Line

# Shapes on a curve, more of which would run into each other on a phone.
_SHAPES = 12

_WAYS = (
    (Chat.KAFKA, Transport.HELD),
    (Chat.KAFKA, Transport.PLAIN),
    (Chat.KAFKA, Transport.EVENTS),
    (Chat.WEBSOCKET, Transport.WEBSOCKET),
    (Chat.WEBSOCKET, Transport.HELD),
    (Chat.WEBSOCKET, Transport.EVENTS),
)

Text = Callable[[float], str]


# For each drawing its title, the figure of a line, and how one says it.
_MEASURES: Mapping[str, tuple[Callable[[Line], float | None], Text]] = {
    gettext_noop("First sight, median"): (lambda line: line.first_sight_median, words.duration),
    gettext_noop("First sight, p95"): (lambda line: line.first_sight_p95, words.duration),
    gettext_noop("Completion, median"): (lambda line: line.completion_median, words.duration),
    gettext_noop("Completion, p95"): (lambda line: line.completion_p95, words.duration),
    gettext_noop("Reads for each answer"): (lambda line: line.reads, words.average),
    gettext_noop("Writes for each answer"): (lambda line: line.writes, words.average),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A day's figure where its shape is drawn. Places are percentages from the top left corner."""

    x: str
    y: str
    tip: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A way through the days, broken where nobody asked. `path` is in units of a day and of a hundredth."""

    way: int
    path: str
    points: list[Point]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A measure of all ways."""

    title: str
    # The drawing in words, for those who do not see it.
    sentence: str
    curves: list[Curve]
    # Labels of the vertical axis' end and middle.
    top: str
    middle: str


@dataclass(frozen=True, slots=True)
class Drawings:
    """What the template draws: all measures over the same days."""

    first: date
    last: date
    # Days, which are one unit wide each.
    width: int
    # Number and words of each way that there is.
    legend: list[tuple[int, str]]
    drawings: list[Drawing]


def of(lines: Sequence[Line]) -> Drawings | None:
    """Return the drawings of a period's statistics; None where there are none."""
    known = [line.day for line in lines if line.day is not None]
    if not known:
        return None
    first, last = min(known), max(known)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Drawings(
        first=first,
        last=last,
        width=len(days),
        legend=sorted({(_number_of(line), line.way) for line in lines}),
        drawings=[_drawing(gettext(title), *measure, lines, days) for title, measure in _MEASURES.items()],
    )


def _number_of(line: Line) -> int:
    return _WAYS.index((Chat(line.chat), Transport(line.transport)))


def _drawing(
    title: str, measure: Callable[[Line], float | None], text: Text, lines: Sequence[Line], days: Sequence[date]
) -> Drawing:
    in_all: list[str] = []
    figures: dict[int, dict[date, float]] = {_number_of(line): {} for line in lines}
    for line in lines:
        value = measure(line)
        if value is None:
            continue
        if line.day is None:
            in_all.append(f"{line.way} {text(value)}")
        else:
            figures[_number_of(line)][line.day] = value
    top = round_up(max((value for by_day in figures.values() for value in by_day.values()), default=0) or 1)
    return Drawing(
        title=title,
        sentence=gettext("%(title)s, by day. In all: %(figures)s.")
        % {"title": title, "figures": "; ".join(in_all) or words.NONE},
        curves=[
            _curve(way, [figures[way].get(day) for day in days], days, (place + 0.5) / len(figures), top, text)
            for place, way in enumerate(sorted(figures))
        ],
        top=text(top),
        middle=text(top / 2),
    )


def _curve(
    way: int, values: Sequence[float | None], days: Sequence[date], shift: float, top: float, text: Text
) -> Curve:
    """Return a way's curve, which stands at `shift` (0 to 1) of each day."""
    path, points = "", []
    step = math.ceil(len(days) / _SHAPES)
    before: float | None = None
    for number, (day, value) in enumerate(zip(days, values, strict=True)):
        if value is not None:
            x, y = number + shift, 100 - 100 * value / top
            path += f"{'M' if before is None else 'L'}{x:.2f} {y:.1f}"
            # A day between two without a figure has nothing but its shape.
            if before is None or number % step == 0:
                points.append(Point(f"{100 * x / len(days):.2f}%", f"{y:.1f}%", f"{date_format(day)}: {text(value)}"))
        before = value
    return Curve(way, path, points)
