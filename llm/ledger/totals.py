"""What a selection of calls amounts to: in all, and for each day, provider and purpose."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Aggregate, Count, FloatField, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from llm.models import Call

# How a call ends that is no failure: a whole answer, one that was cut at the limit, one that nobody wanted the rest of.
FINE = ("stop", "length", "left")


class Median(Aggregate):
    """PostgreSQL's percentile_cont(0.5); leaves out NULL."""

    template = "percentile_cont(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True)
class Total:
    """Some calls added up. `group` are the values that they have in common: a day, names."""

    group: tuple[Any, ...]
    calls: int
    failed: int
    # Tokens.
    prompt: int
    completion: int
    # Without the calls of unknown cost, which `unpriced` counts.
    usd: Decimal
    unpriced: int
    # Median time to the first token in milliseconds, of the calls that had one.
    first_ms: float | None


def total(calls: QuerySet[Call]) -> Total:
    """Add up all of them; one query."""
    return Total(group=(), **calls.order_by().aggregate(**_SUMS))


def by(calls: QuerySet[Call], *fields: str) -> list[Total]:
    """Add up for each combination of the fields' values, in their order; one query. `day` is the day of the start."""
    groups = calls.order_by().annotate(day=TruncDate("started_at")) if "day" in fields else calls.order_by()
    rows = groups.values(*fields).annotate(**_SUMS).order_by(*fields)
    return [Total(group=tuple(row.pop(field) for field in fields), **row) for row in rows]


_SUMS = {
    "calls": Count("*"),
    "failed": Count("pk", filter=~Q(outcome__in=FINE)),
    "prompt": Coalesce(Sum("prompt_tokens"), 0),
    "completion": Coalesce(Sum("completion_tokens"), 0),
    "usd": Coalesce(Sum("cost"), Decimal(0)),
    "unpriced": Count("pk", filter=Q(price=None)),
    "first_ms": Median("first_token_ms"),
}
