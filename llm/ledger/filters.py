"""The filters of the admin's list of calls."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from llm.models import Call

# Days that are shown unless somebody chooses others: all years at once would be slow to add up, and seldom wanted.
DEFAULT_DAYS = 30
_DAY = "day"
_MOST_VALUES = 50


def within(calls: QuerySet[Call], day: str | None) -> QuerySet[Call]:
    """Narrow calls to what the day filter says: nothing, "today", "yesterday", "7", "all" or a date. Days are UTC.

    Raises ValueError for anything else.
    """
    today = timezone.now().astimezone(UTC).date()
    if day == "all":
        return calls
    if day == "yesterday":
        return _between(calls, today - timedelta(days=1), 1)
    if day in ("today", "7", None):
        days = {"today": 1, "7": 7, None: DEFAULT_DAYS}[day]
        return _between(calls, today - timedelta(days=days - 1), days)
    return _between(calls, date.fromisoformat(day), 1)


def _between(calls: QuerySet[Call], first: date, days: int) -> QuerySet[Call]:
    begin = datetime.combine(first, time(), UTC)
    return calls.filter(started_at__gte=begin, started_at__lt=begin + timedelta(days=days))


def _last(days: int) -> str:
    return gettext("Last %(count)s days") % {"count": days}


class DayFilter(admin.SimpleListFilter):
    """Some days, or one: the lines of the totals by day lead to it."""

    title = gettext_lazy("day (UTC)")
    parameter_name = _DAY

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices; a date is one of them where it is chosen."""
        value = self.value()
        known = [
            ("today", gettext("Today")),
            ("yesterday", gettext("Yesterday")),
            ("7", _last(7)),
            ("all", gettext("All days")),
        ]
        return known if value is None or value in dict(known) else [*known, (value, value)]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Name the choice that is none."""
        default, *others = super().choices(changelist)
        yield {**default, "display": _last(DEFAULT_DAYS)}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        """Narrow the list."""
        try:
            return within(queryset, self.value())
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error


class _SeenFilter(admin.SimpleListFilter):
    """The values that a field has in the chosen days; Django's own filter would look through all rows."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values; the chosen one is always there."""
        try:
            calls = within(Call.objects.all(), request.GET.get(_DAY))
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
