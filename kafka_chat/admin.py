"""Operators look at questions here, and ask failed ones again."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from config import formats
from config.admin import IdSearch, ReadOnlyAdmin
from config.formats import written
from kafka_chat import asking_again, daily
from kafka_chat.models import ChatMessage, OutboxEntry

# Characters of a text in a list.
_EXCERPT = 80


@admin.register(ChatMessage)
class ChatMessageAdmin(IdSearch, ReadOnlyAdmin):
    """Questions, newest first, under the counts of the last days."""

    list_display = (
        *("asked", "status", "attempts", "seconds", "question", "failed_with", "category", "language", "provider"),
        *("rating", "remark"),
    )
    list_filter = (
        *(daily.DayFilter, "status", daily.RetriedFilter, daily.ReasonFilter, "category", daily.LanguageFilter),
        *(daily.SorterFilter, daily.ProviderFilter, "fallback", "rating", ("comment", admin.EmptyFieldListFilter)),
    )
    fieldsets = (
        (None, {"fields": ("status", "message", "response", "error", "category", "language", "categorised_by")}),
        (
            _("When"),
            {"fields": ("created_at", "picked_up_at", "first_token_at", "answered_at", "attempts", "lease_until")},
        ),
        (_("Rated"), {"fields": ("rating", "comment", "rated_at")}),
        (_("By whom"), {"fields": ("provider", "model", "fallback", "prompt_tokens", "completion_tokens")}),
        (_("Known as"), {"fields": ("message_id", "session_id", "trace_id", "idempotency_key")}),
    )
    id_fields = ("message_id", "trace_id")
    search_fields = ("message", "comment")
    search_help_text = _("The id of a message or a trace, or words of the question or the comment.")
    # The primary key is in the order of time.
    ordering = ("-message_id",)
    list_per_page = 50
    show_full_result_count = False
    actions = ("ask_again",)

    class Media:
        css: ClassVar = {"all": ("css/calls.css", "css/operations.css")}

    @admin.display(description=_("asked, UTC"), ordering="created_at")
    def asked(self, row: ChatMessage) -> str:
        """Show when, to the second."""
        return formats.moment(row.created_at)

    @admin.display(description=_("question"))
    def question(self, row: ChatMessage) -> str:
        """Show the beginning of it."""
        return Truncator(row.message).chars(_EXCERPT)

    @admin.display(description=_("took"))
    def seconds(self, row: ChatMessage) -> str:
        """Show how long the answer took."""
        if row.answered_at is None:
            return ""
        return f"{written((row.answered_at - row.created_at).total_seconds(), 1)} s"

    @admin.display(description=_("failed with"))
    def failed_with(self, row: ChatMessage) -> str:
        """Show the beginning of what the visitor was told."""
        return Truncator(gettext(row.error)).chars(_EXCERPT) if row.error else ""

    @admin.display(description=_("comment"))
    def remark(self, row: ChatMessage) -> str:
        """Show the beginning of what the visitor said about the answer."""
        return Truncator(row.comment).chars(_EXCERPT)

    @admin.action(description=_("Ask the selected questions again"), permissions=["ask_again"])
    def ask_again(self, request: HttpRequest, rows: QuerySet[ChatMessage]) -> HttpResponse | None:
        """Show what would happen, and do it after a yes."""
        return asking_again.ask_again(request, rows, {"opts": self.opts})

    def has_ask_again_permission(self, request: HttpRequest) -> bool:
        """Those may who may change questions; there is nothing else to change about them."""
        return request.user.has_perm("kafka_chat.change_chatmessage")

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
    show_full_result_count = False
