"""The filters of the admin's list of calls."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy

from config import days
from llm.models import Call

_MOST_VALUES = 50


def within(calls: QuerySet[Call], chosen: str | None) -> QuerySet[Call]:
    """Narrow calls to some days, see `days.span`, or to "all"; to the last thirty for None. Raises ValueError."""
    if chosen == "all":
        return calls
    return _between(calls, *days.span(chosen or str(days.MANY)))


def _between(calls: QuerySet[Call], first: date, number: int) -> QuerySet[Call]:
    begin = datetime.combine(first, time(), UTC)
    return calls.filter(started_at__gte=begin, started_at__lt=begin + timedelta(days=number))


class DayFilter(days.DayFilter):
    """The last thirty days unless somebody chooses: all years would be slow to add up, and are seldom wanted."""

    def longest(self) -> tuple[str, str]:
        """Return all."""
        return "all", gettext("All days")

    def within(self, queryset: QuerySet[Call], chosen: str | None) -> QuerySet[Call]:
        """Narrow the list."""
        return within(queryset, chosen)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Name the choice that is none."""
        default, *others = super().choices(changelist)
        yield {**default, "display": days.last(days.MANY)}
        yield from others


class _SeenFilter(admin.SimpleListFilter):
    """The values that a field has in the chosen days; Django's own filter would look through all rows."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values; the chosen one is always there."""
        try:
            calls = within(Call.objects.all(), request.GET.get(days.PARAMETER))
        except (ValueError, OverflowError):
            return []
        name = str(self.parameter_name)
        seen = set(calls.order_by().values_list(name, flat=True).distinct()[:_MOST_VALUES])
        return [(value, value) for value in sorted(seen | {self.value() or ""} - {""})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        """Narrow the list."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{str(self.parameter_name): value})


class ProviderFilter(_SeenFilter):
    """Who was asked."""

    title = gettext_lazy("provider")
    parameter_name = "provider"


class ModelFilter(_SeenFilter):
    """Which model answered."""

    title = gettext_lazy("model")
    parameter_name = "model"


class OutcomeFilter(_SeenFilter):
    """How it ended."""

    title = gettext_lazy("outcome")
    parameter_name = "outcome"


class CostFilter(admin.SimpleListFilter):
    """Whether a price was known."""

    title = gettext_lazy("cost")
    parameter_name = "cost"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("known", gettext("Known")), ("unknown", gettext("Unknown"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        """Narrow the list."""
        value = self.value()
        return queryset if value is None else queryset.filter(price__isnull=value == "unknown")
