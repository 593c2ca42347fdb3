"""Operators look at timelines here."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.admin import ReadOnlyAdmin
from llm.timelines import words
from llm.timelines.models import Timeline


@admin.register(Timeline)
class TimelineAdmin(ReadOnlyAdmin):
    """All timelines, newest first."""

    list_display = (
        *("asked_at", "chat", "transport", "outcome", "first_sight", "completion", "statements", "reconnects"),
        *("provider", "fallback"),
    )
    list_filter = ("chat", "transport", "outcome", "fallback")
    search_fields = ("=trace_id",)
    search_help_text = _("The id of a trace.")
    ordering = ("-asked_at",)
    list_per_page = 50
    show_full_result_count = False

    @admin.display(description=_("first sight"), ordering="first_seen_ms")
    def first_sight(self, timeline: Timeline) -> str:
        """Show when the first text was seen."""
        return words.duration(timeline.first_seen_ms)

    @admin.display(description=_("completion"), ordering="seen_ms")
    def completion(self, timeline: Timeline) -> str:
        """Show when the end was seen."""
        return words.duration(timeline.seen_ms)

    @admin.display(description=_("database"))
    def statements(self, timeline: Timeline) -> str:
        """Show how often the database was asked."""
        return words.statements(timeline.reads, timeline.writes)
