"""Operators look at questions here."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse

from config.admin import ReadOnlyAdmin
from kafka_chat import daily
from kafka_chat.models import ChatMessage, OutboxEntry


@admin.register(ChatMessage)
class ChatMessageAdmin(ReadOnlyAdmin):
    """Questions, newest first, under the counts of the last days."""

    list_display = (
        *("created_at", "status", "message", "category", "language", "provider", "model", "attempts", "answered_at"),
    )
    list_filter = (
        *(daily.DayFilter, "status", "category", daily.LanguageFilter, daily.SorterFilter, daily.ProviderFilter),
        "fallback",
    )
    search_fields = ("message_id", "trace_id", "message")
    # The primary key is in the order of time.
    ordering = ("-message_id",)
    list_per_page = 50
    show_full_result_count = False

    class Media:
        css: ClassVar = {"all": ("css/calls.css",)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it how many questions of each category there were each day."""
        response: HttpResponse = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            changes: ChangeList = context["cl"]
            context["summary"] = daily.summary(changes.queryset, changes.get_query_string)
        return response


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    """Messages on their way to the broker."""

    list_display = ("id", "topic", "created_at", "sent_at")
    list_filter = ("topic", ("sent_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)
