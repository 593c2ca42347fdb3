"""The audit log of the WebSocket chat: one row for each run, written when the run has ended.

A turn is a question and its answer; where it is asked again or edited, it has several runs, of which the newest counts.
"""

import uuid

from django.db import models
from uuid_utils.compat import uuid7

from config.ratings import Rated


class Status(models.TextChoices):
    """How a run ended."""

    DONE = "done"
    STOPPED = "stopped"
    ERROR = "error"
    INTERRUPTED = "interrupted"


class ChatMessage(Rated):
    """One run: a question and as much of the answer as was sent."""

    # UUIDv7: in the order of time, which keeps the index compact.
    run_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    turn_id = models.UUIDField(
        default=uuid7, help_text="The first run of the turn: runs of the same turn are versions of one answer."
    )
    visitor_id = models.UUIDField(help_text="The visitor who asked.")
    question = models.TextField()
    answer = models.TextField(blank=True)
    status = models.CharField(max_length=11, choices=Status)
    error = models.TextField(blank=True, help_text="What the visitor was told where the answer failed.")
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    fallback = models.BooleanField(default=False, help_text="Another provider was asked first and failed.")
    prompt_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField(help_text="When the question arrived.")
    first_token_ms = models.PositiveIntegerField(null=True, help_text="Milliseconds from question to first text.")
    total_ms = models.PositiveIntegerField(help_text="Milliseconds from the question to the end.")
    trace_id = models.UUIDField(default=uuid.uuid4)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "wbs_chatmessage"
        verbose_name = "run"
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
