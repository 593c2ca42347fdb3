"""Which chart the shape of a result suggests, and that chart as SVG.

A column of times and numbers make lines, a column of texts and a number make bars, two columns of numbers make points.
The picture is pygal's; what makes it interactive is taken out of it, so that it holds no script and no style attribute.
The table is its text alternative, and a description of it is in the picture.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from django.utils.formats import number_format
from django.utils.translation import gettext

from config import formats
from data_agent.execution import ResultColumn
from data_agent.plotting import Style, pygal

Kind = Literal["line", "bar", "scatter"]
Row = Sequence[str | None]

MAX_BARS = 40
MAX_LINES = 6
MAX_POINTS = 1_000
MIN_SCATTER = 5

_TIMES = frozenset({"date", "timestamp", "timestamptz"})
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "bool"})
# A number that names something is not a quantity.
_KEY = re.compile(r"(^|_)id$", re.IGNORECASE)
_YEAR = re.compile(r"(^|_)(year|month|quarter|week|day|hour)$", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_USUAL_MOMENT = re.compile(r"[12]\d{3}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?(\+00)?)?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?$")

_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#5b6472",
    foreground_strong="#5b6472",
    foreground_subtle="#8a93a1",
    guide_stroke_color="#8a93a1",
    guide_stroke_dasharray="2,4",
    major_guide_stroke_color="#8a93a1",
    major_guide_stroke_dasharray="2,4",
    colors=("#3b6fd4", "#c8562e", "#2b8a66", "#9a4fb5", "#b08309", "#c2416f"),
    font_family="system-ui, sans-serif",
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
    title_font_size=15,
    opacity="1",
    stroke_opacity="1",
    transition="0s",
)


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels of a picture, whose letters are as large in each; figures and moments along an axis; letters of a name.

    More would run into each other where they are long.
    """

    width: int
    height: int
    figures: int
    moments: int
    letters: int


WIDE, NARROW = Size(760, 400, 5, 12, 24), Size(340, 320, 2, 5, 12)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A chart: places of its columns, and what it shows in words."""

    kind: Kind
    label: str
    x: int
    ys: tuple[int, ...]
    # Column whose texts make lines of their own; None where each column of `ys` is a line.
    by: int | None = None


def suggest(columns: Sequence[ResultColumn], rows: Sequence[Row]) -> Suggestion | None:
    """Return the chart that the shape of a result suggests; None where the table says it better."""
    if len(rows) < 2 or len(columns) < 2:
        return None
    numbers = [place for place, column in enumerate(columns) if column.numeric and not _names_something(column)]
    texts = [place for place, column in enumerate(columns) if column.type in _TEXTS]
    times = [place for place, column in enumerate(columns) if _is_time(column)]
    numbers = [place for place in numbers if place not in times and any(row[place] is not None for row in rows)]
    if not numbers:
        return None
    return (
        _lines(columns, rows, times, texts, numbers)
        or _bars(columns, rows, texts or times, numbers)
        or _points(columns, rows, numbers)
    )


def _lines(
    columns: Sequence[ResultColumn], rows: Sequence[Row], times: list[int], texts: list[int], numbers: list[int]
) -> Suggestion | None:
    if len(times) != 1:
        return None
    (x,) = times
    moments = {row[x] for row in rows}
    if not all(value is not None and _is_moment(value) for value in moments):
        return None
    if len(moments) == len(rows) and not texts:
        ys = _of_one_size(rows, numbers)[:MAX_LINES]
        label = gettext("%(what)s by %(place)s, as a line") % {"what": _and(columns, ys), "place": columns[x].name}
        return Suggestion("line", label, x, tuple(ys))
    if len(texts) == 1 and len({(row[x], row[texts[0]]) for row in rows}) == len(rows):
        by = texts[0]
        if len({row[by] for row in rows}) <= MAX_LINES and len(moments) > 1:
            names = {"what": columns[numbers[0]].name, "place": columns[x].name, "each": columns[by].name}
            label = gettext("%(what)s by %(place)s, a line for each %(each)s") % names
            return Suggestion("line", label, x, (numbers[0],), by)
    return None


def _bars(
    columns: Sequence[ResultColumn], rows: Sequence[Row], names: list[int], numbers: list[int]
) -> Suggestion | None:
    if not names or len(rows) > MAX_BARS:
        return None
    x = next((place for place in names if len({row[place] for row in rows}) == len(rows)), None)
    if x is None:
        return None
    label = gettext("%(what)s by %(place)s, as bars") % {"what": columns[numbers[0]].name, "place": columns[x].name}
    return Suggestion("bar", label, x, (numbers[0],))


def _points(columns: Sequence[ResultColumn], rows: Sequence[Row], numbers: list[int]) -> Suggestion | None:
    if len(numbers) < 2 or not MIN_SCATTER <= len(rows) <= MAX_POINTS:
        return None
    x, y = numbers[:2]
    names = {"what": columns[y].name, "place": columns[x].name}
    return Suggestion("scatter", gettext("%(what)s against %(place)s, a point for each row") % names, x, (y,))


def render(
    columns: Sequence[ResultColumn], rows: Sequence[Row], chart: Suggestion, title: str, size: Size = WIDE
) -> str:
    """Return the chart as an SVG document of its own."""
    made = {"line": _line_chart, "bar": _bar_chart, "scatter": _scatter_chart}[chart.kind](columns, rows, chart, size)
    tree = made.render_tree()
    _undress(tree)
    tree.set("role", "img")
    tree.set("aria-labelledby", "title description")
    name, description = Element("title", id="title"), Element("desc", id="description")
    name.text = _printable(title)
    said = gettext("%(chart)s. %(count)s rows; the table beside it has their values.")
    description.text = _printable(said % {"chart": chart.label, "count": len(rows)})
    tree.insert(0, name)
    tree.insert(1, description)
    text: str = tostring(tree, encoding="unicode")
    return text


def style_of(svg: str) -> str:
    """Return the text of the picture's style sheet, which a Content-Security-Policy names by its hash."""
    found = re.search(r"<style[^>]*>(.*?)</style>", svg, re.DOTALL)
    return found.group(1) if found else ""


def _line_chart(columns: Sequence[ResultColumn], rows: Sequence[Row], chart: Suggestion, size: Size) -> Any:
    moments = sorted({str(row[chart.x]) for row in rows}, key=lambda text: _moment(text) or datetime.min)
    legend = chart.by is not None or len(chart.ys) > 1
    made = pygal.Line(**_look(columns, chart, size, legend=legend), x_label_rotation=30)
    made.x_labels = [_short(moment) for moment in moments]
    made.x_labels_major_count = size.moments
    made.show_minor_x_labels = False
    if chart.by is None:
        series = [(columns[y].name, {str(row[chart.x]): row[y] for row in rows}) for y in chart.ys]
    else:
        names = dict.fromkeys(row[chart.by] for row in rows)
        (y,) = chart.ys
        series = [(name or "", {str(row[chart.x]): row[y] for row in rows if row[chart.by] == name}) for name in names]
    for name, values in series:
        made.add(_label(name), [_number(values.get(moment)) for moment in moments])
    return made


def _bar_chart(columns: Sequence[ResultColumn], rows: Sequence[Row], chart: Suggestion, size: Size) -> Any:
    look = _look(columns, chart, size, legend=False) | {"height": max(200, 70 + 24 * len(rows))}
    made = pygal.HorizontalBar(**look, max_scale=size.figures)
    (y,) = chart.ys
    # The library draws the first at the bottom.
    falling = list(reversed(rows))
    made.x_labels = [_label(row[chart.x] or "") for row in falling]
    made.add(_label(columns[y].name), [_number(row[y]) for row in falling])
    return made


def _scatter_chart(columns: Sequence[ResultColumn], rows: Sequence[Row], chart: Suggestion, size: Size) -> Any:
    title = _label(columns[chart.x].name)
    made = pygal.XY(**_look(columns, chart, size, legend=False), stroke=False, x_title=title, max_scale=size.figures)
    (y,) = chart.ys
    points = [(_number(row[chart.x]), _number(row[y])) for row in rows]
    made.add(_label(columns[y].name), [point for point in points if None not in point])
    return made


def _look(columns: Sequence[ResultColumn], chart: Suggestion, size: Size, *, legend: bool) -> dict[str, Any]:
    return {
        "style": _STYLE,
        "js": (),
        "no_prefix": True,
        "disable_xml_declaration": True,
        "width": size.width,
        "height": size.height,
        "show_legend": legend,
        "legend_at_bottom": True,
        "truncate_label": size.letters,
        "truncate_legend": size.letters,
        "dots_size": 2.5,
        "value_formatter": _in_figures,
        "y_title": None if chart.kind == "bar" or legend else _label(columns[chart.ys[0]].name),
        "include_x_axis": chart.kind == "bar",
    }


def _undress(tree: Any) -> None:
    """Take out scripts, tooltips and style attributes."""
    for parent in list(tree.iter()):
        for child in list(parent):
            tag = child.tag if isinstance(child.tag, str) else "comment"
            if (
                tag.endswith(("script", "comment"))
                or "tooltip-overlay" in child.get("class", "")
                or tag.endswith("desc")
            ):
                parent.remove(child)
        parent.attrib.pop("style", None)
    if tree.find(".//{*}style") is None:
        SubElement(tree, "style")


def _names_something(column: ResultColumn) -> bool:
    return _KEY.search(column.name) is not None


def _is_time(column: ResultColumn) -> bool:
    return column.type in _TIMES or (column.numeric and _YEAR.search(column.name) is not None)


def _is_moment(text: str) -> bool:
    # As PostgreSQL writes most of them: a result may have a thousand, and its person waits.
    return _USUAL_MOMENT.fullmatch(text) is not None or _moment(text) is not None


def _moment(text: str) -> datetime | None:
    if _NUMBER.match(text):
        # Years, months and the like, in their own order.
        return datetime.fromtimestamp(float(text), UTC).replace(tzinfo=None) if abs(float(text)) < 1e9 else None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _short(moment: str) -> str:
    """Return a day or moment for an axis."""
    short = re.sub(r"([ T]00:00:00)?(\+00(:00)?)?$", "", moment)
    return formats.day(date.fromisoformat(short)) if _DAY.fullmatch(short) else short


def _in_figures(value: object) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return str(value)
    return number_format(Decimal(f"{value:.10g}"), force_grouping=True)


def _number(cell: str | None) -> float | None:
    return float(cell) if cell is not None and _NUMBER.match(cell) else None


def _of_one_size(rows: Sequence[Row], numbers: list[int]) -> list[int]:
    """Return the first column and those that can be read on its axis: within a twentieth and twenty times of it."""
    largest = {y: max((abs(_number(row[y]) or 0.0) for row in rows), default=0.0) for y in numbers}
    first = largest[numbers[0]] or 1.0
    return [y for y in numbers if y == numbers[0] or first / 20 <= largest[y] <= first * 20]


def _and(columns: Sequence[ResultColumn], places: Sequence[int]) -> str:
    return reduce(_with, (columns[place].name for place in places))


def _with(first: str, second: str) -> str:
    return gettext("%(first)s and %(second)s") % {"first": first, "second": second}


def _label(text: str) -> str:
    return _printable(text) or gettext("empty")


def _printable(text: str) -> str:
    """Return a text that XML can hold."""
    return "".join(character for character in text if character.isprintable() or character == " ")
