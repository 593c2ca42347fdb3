"""Bars for days, as the template draws them: plain SVG without styles of its own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from django.utils.translation import gettext

from config import formats

# More bars than this cannot be told apart on a phone.
DAYS = 92
# The drawing's own units; the page stretches it.
_HEIGHT = 100.0
_BAR, _GAP = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class Bar:
    """One day. Measures are in the drawing's units, from its top left corner."""

    x: str
    y: str
    height: str
    # What it says to a pointer that rests on it.
    tip: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A measure for each day from the first to the last."""

    title: str
    # The plot in a sentence, for those who do not see it.
    sentence: str
    # Days, which are one unit wide each.
    width: int
    bars: list[Bar]
    bar_width: float
    # Labels of the vertical axis' end and middle.
    top: str
    middle: str
    first: date
    last: date


def per_day(title: str, values: Mapping[date, float], text: Callable[[float], str]) -> Plot | None:
    """Return the plot, None where there are not two days or nothing but zeros.

    Days without a value are zero. Only the latest three months are drawn.
    """
    if not values:
        return None
    last = max(values)
    first = max(min(values), last - timedelta(days=DAYS - 1))
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    highest = max(days, key=lambda day: values.get(day, 0))
    if len(days) < 2 or not values.get(highest):
        return None
    top = round_up(values[highest])
    total = sum(values.get(day, 0) for day in days)
    bars = []
    for number, day in enumerate(days):
        value = values.get(day, 0)
        height = _HEIGHT * value / top
        what = f"{formats.day(day)}: {text(value)}"
        bars.append(Bar(f"{number + _GAP:.1f}", f"{_HEIGHT - height:.2f}", f"{height:.2f}", what))
    return Plot(
        title=title,
        sentence=gettext("%(title)s from %(first)s to %(last)s: %(total)s in all, at most %(most)s (%(day)s).")
        % {
            "title": title,
            "first": formats.day(first),
            "last": formats.day(last),
            "total": text(total),
            "most": text(values[highest]),
            "day": formats.day(highest),
        },
        width=len(days),
        bars=bars,
        bar_width=_BAR,
        top=text(top),
        middle=text(top / 2),
        first=first,
        last=last,
    )


def round_up(value: float) -> float:
    """Return the next number above nothing that is easy to read on an axis: 1, 2, 4, 6 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9))
