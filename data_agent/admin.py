"""The admin's view of the data agent: everything to read, nothing to change."""

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from data_agent.models import AuditCheckpoint, AuditEvent, Session, Share, Step, VerifiedQuestion


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The append-only log."""

    list_display = ("id", "at", "kind", "person", "address", "question", "rows", "duration_ms")
    list_filter = ("kind", "at")
    search_fields = ("person", "question", "sql", "fingerprint")


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnlyAdmin):
    """What stands in place of removed rows of the log."""

    list_display = ("id", "at", "last_id", "removed", "key_id")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Conversations."""

    list_display = ("title", "owner", "created_at")
    list_filter = ("created_at",)
    search_fields = ("title",)


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    """Questions, proposals, decisions and results."""

    list_display = ("question", "state", "source", "provider", "model", "duration_ms", "created_at")
    list_filter = ("state", "source", "provider")
    search_fields = ("question", "sql")


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """Who may read whose conversations."""

    list_display = ("session", "person", "created_at")
    list_filter = ("created_at",)


@admin.register(VerifiedQuestion)
class VerifiedQuestionAdmin(ReadOnlyAdmin):
    """Questions that staff marked as verified, on the data agent's page."""

    list_display = ("question", "verified_by", "created_at")
    search_fields = ("question", "sql")
