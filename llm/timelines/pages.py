"""The page that compares the ways to an answer: one question through all of them, and what the site's traffic says."""

from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.formats import written
from llm.timelines import curves, statistics, words
from llm.timelines.statistics import Line

# What `static/js/compare-doors.js` opens, in the order in which they are asked.
DOORS = (
    (
        "held",
        gettext_lazy("Kafka, held polling"),
        gettext_lazy("The browser asks once, and the server holds the request until there is an answer."),
    ),
    (
        "plain",
        gettext_lazy("Kafka, plain polling"),
        gettext_lazy("The browser asks every 500 ms, and the row is read each time."),
    ),
    (
        "websocket",
        gettext_lazy("WebSocket"),
        gettext_lazy("One open connection. The answer comes as the model writes it."),
    ),
    (
        "sse",
        gettext_lazy("Kafka, server-sent events"),
        gettext_lazy("A worker writes, and the browser reads along over one long response."),
    ),
)


@require_safe
@never_cache
def compare(request: HttpRequest) -> HttpResponse:
    """Show the form, and the statistics of some days."""
    days = statistics.read_days(request.GET.get("days"))
    lines = statistics.of_last(days)
    context = {
        "doors": DOORS,
        "days": days,
        "choices": statistics.DAYS,
        "drawn": curves.of(lines),
        "in_all": [_cells(line) for line in lines if line.day is None],
        "by_day": [(line.day, *_cells(line)) for line in lines if line.day is not None],
    }
    return render(request, "compare.html", context)


@require_safe
@never_cache
@staff_member_required
def as_csv(request: HttpRequest) -> HttpResponse:
    """Send the statistics as a CSV file."""
    days = statistics.read_days(request.GET.get("days"))
    response = HttpResponse(statistics.as_csv(statistics.of_last(days)), content_type="text/csv")
    response["Content-Disposition"] = f'attachment; filename="timelines-{days}-days.csv"'
    return response


@require_safe
@never_cache
@staff_member_required
def as_json(request: HttpRequest) -> HttpResponse:
    """Send the statistics as JSON."""
    days = statistics.read_days(request.GET.get("days"))
    return JsonResponse(statistics.as_json(statistics.of_last(days)))


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.way,
        written(line.answers),
        words.duration(line.first_sight_median),
        words.duration(line.first_sight_p95),
        words.duration(line.completion_median),
        words.duration(line.completion_p95),
        written(line.reads, 2),
        written(line.writes, 2),
        written(line.reconnects),
    )
