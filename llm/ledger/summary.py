"""What the admin shows above the list of calls: totals in words and bars."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_noop

from config import formats, plots
from config.formats import written
from llm.ledger import totals
from llm.ledger.totals import Total
from llm.models import Call

# Returns the list's address with these filters added to the present ones.
Link = Callable[[dict[str, str]], str]

# Each table: its heading, and the fields that its lines have in common.
_TABLES = (
    (gettext_noop("By day"), ("day",)),
    (gettext_noop("By provider"), ("provider",)),
    (gettext_noop("By purpose"), ("purpose",)),
    (gettext_noop("By day, provider and purpose"), ("day", "provider", "purpose")),
)
# What the fields are called.
_NAMES = {"day": gettext_noop("day"), "provider": gettext_noop("provider"), "purpose": gettext_noop("purpose")}

_NONE = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Line:
    """A total, ready to be shown."""

    # What the line is about; the link leads to just these calls.
    names: tuple[str, ...]
    link: str
    calls: str
    prompt: str
    completion: str
    cost: str
    failed: str
    first: str


@dataclass(frozen=True, slots=True)
class Table:
    """Lines that are grouped by the same fields."""

    title: str
    # The names of the fields.
    fields: tuple[str, ...]
    lines: list[Line]


def of(calls: QuerySet[Call], link: Link) -> dict[str, Any]:
    """Return what the template shows of these calls: `everything`, `tables`, `plots`. Five queries."""
    groups = {fields: totals.by(calls, *fields) for _, fields in _TABLES}
    days = groups["day",]
    return {
        "everything": _line(totals.total(calls), (), link),
        "tables": [
            Table(
                gettext(title),
                tuple(gettext(_NAMES[field]) for field in fields),
                # The newest day first.
                [_line(each, fields, link) for each in (groups[fields][::-1] if "day" in fields else groups[fields])],
            )
            for title, fields in _TABLES
        ],
        "plots": [
            plot
            for plot in (
                plots.per_day(
                    gettext("Tokens per day"), {day.group[0]: day.prompt + day.completion for day in days}, _tokens
                ),
                plots.per_day(gettext("Cost per day"), {day.group[0]: float(day.usd) for day in days}, _cost),
            )
            if plot is not None
        ],
    }


def dollars(amount: Decimal | float) -> str:
    """Return an amount with as many digits as say something: $12.30, $0.0042."""
    if 0 < amount < Decimal("0.000001"):
        return f"< {_in_dollars(Decimal('0.000001'), 6)}"
    if amount >= 1 or amount == 0:
        return _in_dollars(amount, 2)
    digits = f"{amount:.{4 if amount >= Decimal('0.01') else 6}f}".partition(".")[2].rstrip("0")
    return _in_dollars(amount, max(2, len(digits)))


def _in_dollars(amount: Decimal | float, digits: int) -> str:
    return gettext("$%(amount)s") % {"amount": written(amount, digits)}


def _line(total: Total, fields: tuple[str, ...], link: Link) -> Line:
    return Line(
        names=tuple(formats.day(value) if isinstance(value, date) else str(value) for value in total.group),
        link=link({field: str(value) for field, value in zip(fields, total.group, strict=True)}),
        calls=written(total.calls),
        prompt=written(total.prompt),
        completion=written(total.completion),
        cost=_cost_of(total),
        failed=_share(total.failed, total.calls) if total.calls else _NONE,
        first=_NONE if total.first_ms is None else f"{written(total.first_ms)} ms",
    )


def _cost_of(total: Total) -> str:
    if not total.unpriced:
        return dollars(total.usd)
    if total.unpriced == total.calls:
        return gettext("unknown")
    return gettext("%(cost)s + %(count)s unknown") % {"cost": dollars(total.usd), "count": written(total.unpriced)}


def _share(part: int, whole: int) -> str:
    return gettext("%(number)s%%") % {"number": written(100 * part / whole, 1)}


def _tokens(number: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            digits = f"{number / size:.3g}"
            return f"{written(float(digits), len(digits.partition('.')[2]))}{letter}"
    return written(number)


def _cost(amount: float) -> str:
    return dollars(amount)
