"""Operators look at questions here."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from kafka_chat.models import ChatMessage, OutboxEntry


@admin.register(ChatMessage)
class ChatMessageAdmin(ReadOnlyAdmin):
    """Questions, newest first."""

    list_display = ("created_at", "status", "message", "provider", "model", "attempts", "answered_at")
    list_filter = ("status", "provider", "fallback")
    search_fields = ("message_id", "trace_id", "message")
    ordering = ("-created_at",)
    date_hierarchy = "created_at"


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    """Messages on their way to the broker."""

    list_display = ("id", "topic", "created_at", "sent_at")
    list_filter = ("topic", ("sent_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)
