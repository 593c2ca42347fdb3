"""Operators look at runs here."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from ws_chat.models import ChatMessage


@admin.register(ChatMessage)
class ChatMessageAdmin(ReadOnlyAdmin):
    """Runs, newest first."""

    list_display = (
        "started_at",
        "status",
        "question",
        "provider",
        "model",
        "first_token_ms",
        "total_ms",
        "rating",
        "comment",
    )
    list_filter = ("rating", ("comment", admin.EmptyFieldListFilter), "status", "provider", "fallback")
    search_fields = ("run_id", "turn_id", "trace_id", "question", "comment")
    ordering = ("-started_at",)
    date_hierarchy = "started_at"
