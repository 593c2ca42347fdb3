"""What the admin shows above the list of calls: totals in words and bars."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from config import plots
from llm.ledger import totals
from llm.ledger.totals import Total
from llm.models import Call

# Returns the list's address with these filters added to the present ones.
Link = Callable[[dict[str, str]], str]

# Each table: its heading, and the fields that its lines have in common.
_TABLES = (
    ("By day", ("day",)),
    ("By provider", ("provider",)),
    ("By purpose", ("purpose",)),
    ("By day, provider and purpose", ("day", "provider", "purpose")),
)


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
                title,
                fields,
                # The newest day first.
                [_line(each, fields, link) for each in (groups[fields][::-1] if "day" in fields else groups[fields])],
            )
            for title, fields in _TABLES
        ],
        "plots": [
            plot
            for plot in (
                plots.per_day("Tokens per day", {day.group[0]: day.prompt + day.completion for day in days}, _tokens),
                plots.per_day("Cost per day", {day.group[0]: float(day.usd) for day in days}, _cost),
            )
            if plot is not None
        ],
    }


def dollars(amount: Decimal | float) -> str:
    """Return an amount with as many digits as say something: $12.30, $0.0042."""
    if 0 < amount < Decimal("0.000001"):
        return "< $0.000001"
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    whole, _, cents = f"{amount:.{4 if amount >= Decimal('0.01') else 6}f}".partition(".")
    return f"${whole}.{cents.rstrip('0'):<02}"


def _line(total: Total, fields: tuple[str, ...], link: Link) -> Line:
    names = tuple(str(value) for value in total.group)
    return Line(
        names=names,
        link=link(dict(zip(fields, names, strict=True))),
        calls=f"{total.calls:,}",
        prompt=f"{total.prompt:,}",
        completion=f"{total.completion:,}",
        cost=_cost_of(total),
        failed=f"{total.failed / total.calls:.1%}" if total.calls else _NONE,
        first=_NONE if total.first_ms is None else f"{total.first_ms:,.0f} ms",
    )


def _cost_of(total: Total) -> str:
    if not total.unpriced:
        return dollars(total.usd)
    if total.unpriced == total.calls:
        return "unknown"
    return f"{dollars(total.usd)} + {total.unpriced:,} unknown"


def _tokens(number: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:,.3g}{letter}"
    return f"{number:.0f}"


def _cost(amount: float) -> str:
    return dollars(amount)
