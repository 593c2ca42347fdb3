"""The audit log of the WebSocket chat: one row for each run, written when the run has ended.

A turn is a question and its answer; where it is asked again or edited, it has several runs, of which the newest counts.
"""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from config.ratings import Rated


class Status(models.TextChoices):
    """How a run ended."""

    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")
    ERROR = "error", _("Error")
    INTERRUPTED = "interrupted", _("Interrupted")


class ChatMessage(Rated):
    """One run: a question and as much of the answer as was sent."""

    # UUIDv7: in the order of time, which keeps the index compact.
    run_id = models.UUIDField(_("run id"), primary_key=True, default=uuid7, editable=False)
    turn_id = models.UUIDField(
        _("turn id"),
        default=uuid7,
        help_text=_("The first run of the turn: runs of the same turn are versions of one answer."),
    )
    visitor_id = models.UUIDField(_("visitor id"), help_text=_("The visitor who asked."))
    question = models.TextField(_("question"))
    answer = models.TextField(_("answer"), blank=True)
    status = models.CharField(_("status"), max_length=11, choices=Status)
    error = models.TextField(_("error"), blank=True, help_text=_("What the visitor was told where the answer failed."))
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    model = models.CharField(_("model"), max_length=128, blank=True)
    fallback = models.BooleanField(
        _("fallback"), default=False, help_text=_("Another provider was asked first and failed.")
    )
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), null=True)
    completion_tokens = models.PositiveIntegerField(_("completion tokens"), null=True)
    started_at = models.DateTimeField(_("started at"), help_text=_("When the question arrived."))
    first_token_ms = models.PositiveIntegerField(
        _("first token, ms"), null=True, help_text=_("Milliseconds from question to first text.")
    )
    total_ms = models.PositiveIntegerField(_("total, ms"), help_text=_("Milliseconds from the question to the end."))
    trace_id = models.UUIDField(_("trace id"), default=uuid.uuid4)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "wbs_chatmessage"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        indexes = (models.Index(fields=["visitor_id", "turn_id", "run_id"], name="wbs_visitor_turns"),)

    def __str__(self) -> str:
        return str(self.run_id)


class ConversationStart(models.Model):
    """Where a visitor's conversation begins, who has begun a new one: the turns before are kept, and not shown."""

    visitor_id = models.UUIDField(primary_key=True)
    after = models.UUIDField(help_text="UUIDv7 of that moment: earlier turns have smaller ids.")

    class Meta:
        db_table = "wbs_conversationstart"

    def __str__(self) -> str:
        return str(self.visitor_id)
