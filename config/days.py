"""The days that an operators' list shows, and the filter that chooses them. All days are those of UTC."""

from abc import ABC, abstractmethod
from datetime import UTC, date, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

# Days that lists, and the figures above them, go back where nobody chooses others.
MANY = 30
_FEW = 7
PARAMETER = "day"


def span(chosen: str) -> tuple[date, int]:
    """Return the first day and the number of days of "today", "yesterday", the last "7" or "30" days, or a date.

    Raises ValueError for anything else.
    """
    today = timezone.now().astimezone(UTC).date()
    if chosen == "yesterday":
        return today - timedelta(days=1), 1
    if chosen in ("today", str(_FEW), str(MANY)):
        days = 1 if chosen == "today" else int(chosen)
        return today - timedelta(days=days - 1), days
    return date.fromisoformat(chosen), 1


def last(days: int) -> str:
    """Return how the last days up to today are called."""
    return gettext("Last %(count)s days") % {"count": days}


class DayFilter(ABC, admin.SimpleListFilter):
    """Some days, or one: the lines of the figures by day lead to it. A subclass says how a list is narrowed."""

    title = gettext_lazy("day (UTC)")
    parameter_name = PARAMETER

    @abstractmethod
    def longest(self) -> tuple[str, str]:
        """Return the choice of most days, and its name."""

    @abstractmethod
    def within(self, queryset: QuerySet[Any], chosen: str | None) -> QuerySet[Any]:
        """Narrow the list to what was chosen, None where nothing was. Raises ValueError and OverflowError."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices; a date is one of them where it is chosen."""
        value = self.value()
        known = [
            ("today", gettext("Today")),
            ("yesterday", gettext("Yesterday")),
            (str(_FEW), last(_FEW)),
            self.longest(),
        ]
        return known if value is None or value in dict(known) else [*known, (value, value)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        try:
            return self.within(queryset, self.value())
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters from error
