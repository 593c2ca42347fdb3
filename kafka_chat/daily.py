"""Questions for each day: what the admin shows above its list, and the filter by day. Days are those of UTC."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils.translation import gettext, gettext_lazy

from config import days, formats, plots
from config.formats import written
from config.ids import first_id
from kafka_chat.categories import Category
from kafka_chat.models import WITH_ANSWER, ChatMessage, Status

# Days that the counts go back.
DAYS = days.MANY
# Seconds after which a question that is still open is late.
LATE = 60.0
_NONE = "\N{EN DASH}"
_MOST_VALUES = 50

# Returns the list's address with these filters added to the present ones.
Link = Callable[[dict[str, str]], str]


@dataclass(frozen=True, slots=True)
class Line:
    """The questions of a day, or of a language: in all, and those of each category."""

    # What they have in common: a date, or the code of a language.
    value: Any
    number: int
    # Ready to be shown.
    name: str
    link: str
    questions: str
    answered: str
    failed: str
    categories: list[str]


class DayFilter(days.DayFilter):
    """All days unless somebody chooses."""

    def longest(self) -> tuple[str, str]:
        """Return the days that the counts go back."""
        return str(DAYS), days.last(DAYS)

    def within(self, queryset: QuerySet[ChatMessage], chosen: str | None) -> QuerySet[ChatMessage]:
        """Narrow the list."""
        return queryset if chosen is None else within(queryset, chosen)


class _SeenFilter(admin.SimpleListFilter):
    """The values that a field had lately; Django's own filter would look through all rows for them."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values; the chosen one is always there."""
        name = str(self.parameter_name)
        rows = within(ChatMessage.objects.all(), str(DAYS)).order_by()
        seen = set(rows.values_list(name, flat=True).distinct()[:_MOST_VALUES]) | {self.value()} - {None}
        return [(str(value), self.name_of(str(value))) for value in sorted(seen, key=str)]

    def name_of(self, value: str) -> str:
        """Return what a value is called."""
        return value or gettext("not known")

    def queryset(self, request: HttpRequest, queryset: QuerySet[ChatMessage]) -> QuerySet[ChatMessage]:
        """Narrow the list."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{str(self.parameter_name): value})


class LanguageFilter(_SeenFilter):
    """In which language it was asked."""

    title = gettext_lazy("language")
    parameter_name = "language"


class SorterFilter(_SeenFilter):
    """Who sorted it: a provider, or key words."""

    title = gettext_lazy("sorter")
    parameter_name = "categorised_by"


class ProviderFilter(_SeenFilter):
    """Who answered."""

    title = gettext_lazy("provider")
    parameter_name = "provider"


class ReasonFilter(_SeenFilter):
    """Why it failed."""

    title = gettext_lazy("reason of failure")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the reasons; most questions have none."""
        return [(value, text) for value, text in super().lookups(request, model_admin) if value]

    def name_of(self, value: str) -> str:
        """Return the sentence, which is stored in English."""
        return gettext(value) if value else ""


class RetriedFilter(admin.SimpleListFilter):
    """Whether more than one worker has begun to answer it."""

    title = gettext_lazy("attempts")
    parameter_name = "retried"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("yes", gettext("More than one"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ChatMessage]) -> QuerySet[ChatMessage]:
        """Narrow the list."""
        return queryset.filter(attempts__gt=1) if self.value() == "yes" else queryset


def within(rows: QuerySet[ChatMessage], chosen: str) -> QuerySet[ChatMessage]:
    """Narrow questions to some days, see `days.span`. Raises ValueError."""
    return _between(rows, *days.span(chosen))


def summary(rows: QuerySet[ChatMessage], link: Link) -> dict[str, Any]:
    """Return what the template shows of these questions' last days: `days`, `languages`, `plots`. Two queries."""
    rows = within(rows, str(DAYS))
    by_day = _lines(rows.annotate(day=TruncDate("created_at", tzinfo=UTC)), "day", "day", link)
    plot = plots.per_day(gettext("Questions per day"), {line.value: line.number for line in by_day}, written)
    return {
        "categories": [category.label for category in Category],
        "tables": [
            (gettext("By day"), gettext("Day"), sorted(by_day, key=lambda line: line.value, reverse=True)),
            (gettext("By language"), gettext("Language"), _lines(rows, "language", "language", link)),
        ],
        "plots": [plot] if plot else [],
    }


def _lines(rows: QuerySet[ChatMessage], field: str, parameter: str, link: Link) -> list[Line]:
    """Count for each value of a field, most questions first."""
    counts: dict[Any, Counter[str]] = {}
    groups = (
        rows.order_by()
        .values(field, "category")
        .annotate(
            number=Count("*"),
            answered=Count("pk", filter=Q(status__in=WITH_ANSWER)),
            failed=Count("pk", filter=Q(status=Status.FAILED)),
        )
    )
    for group in groups:
        count = counts.setdefault(group[field], Counter())
        count[f"category {group['category']}"] += group["number"]
        count.update({name: group[name] for name in ("number", "answered", "failed")})
    return [
        Line(
            value=value,
            number=count["number"],
            name=formats.day(value) if isinstance(value, date) else str(value) or gettext("not known"),
            link=link({parameter: str(value)}),
            questions=written(count["number"]),
            answered=written(count["answered"]),
            failed=written(count["failed"]),
            categories=[
                written(number) if (number := count[f"category {category.value}"]) else _NONE for category in Category
            ],
        )
        for value, count in sorted(counts.items(), key=lambda item: -item[1]["number"])
    ]


def _between(rows: QuerySet[ChatMessage], first: date, number: int) -> QuerySet[ChatMessage]:
    """Narrow by the primary key, a UUIDv7."""
    begin = datetime.combine(first, time(), UTC)
    return rows.filter(message_id__gte=first_id(begin), message_id__lt=first_id(begin + timedelta(days=number)))
