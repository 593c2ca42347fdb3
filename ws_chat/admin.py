"""Operators look at runs here."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from config.admin import IdSearch, ReadOnlyAdmin
from ws_chat.models import ChatMessage


@admin.register(ChatMessage)
class ChatMessageAdmin(IdSearch, ReadOnlyAdmin):
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
    id_fields = ("run_id", "turn_id", "trace_id")
    search_fields = ("question", "comment")
    search_help_text = _("The id of a run, a turn or a trace, or words of the question or the comment.")
    ordering = ("-started_at",)
    date_hierarchy = "started_at"
