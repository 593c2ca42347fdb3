"""The state buffer of the Kafka chat, and the outbox in front of the broker."""

import uuid

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from config.ratings import Rated
from kafka_chat.categories import Category

# What a row's answer says until there is one.
PLACEHOLDER = "Processing..."


class Status(models.TextChoices):
    """Where a question stands. The last three are final."""

    QUEUED = "queued"
    GENERATING = "generating"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"


OPEN = (Status.QUEUED, Status.GENERATING)
# With an answer; of a stopped one, what its visitor had seen, which may be nothing.
WITH_ANSWER = (Status.ANSWERED, Status.STOPPED)


class ChatMessage(Rated):
    """One question and what became of it. `answered_at` says that the answer is ready."""

    # UUIDv7: in the order of time, which keeps the index compact.
    message_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    session_id = models.UUIDField(help_text="The visitor who asked.")
    message = models.TextField()
    response = models.TextField(default=PLACEHOLDER)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    category = models.CharField(max_length=32, blank=True, choices=Category)
    language = models.CharField(max_length=2, blank=True, help_text="ISO 639-1; empty where it is not known.")
    categorised_by = models.CharField(max_length=64, blank=True, help_text="The provider, or: key words.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker has begun to answer.")
    lease_until = models.DateTimeField(
        null=True, help_text="Until then the worker that claimed the row is trusted to be alive."
    )
    error = models.TextField(blank=True, help_text="What the visitor is told where no answer could be given.")
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    fallback = models.BooleanField(default=False, help_text="Another provider was asked first and failed.")
    prompt_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    picked_up_at = models.DateTimeField(null=True)
    first_token_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    idempotency_key = models.CharField(max_length=128, null=True)
    trace_id = models.UUIDField(default=uuid.uuid4)

    class Meta:
        db_table = "kf_chatmessage"
        verbose_name = "question"
        constraints = (
            models.UniqueConstraint(fields=["session_id", "idempotency_key"], name="kf_one_message_per_key"),
            # The flag and the state never disagree.
            models.CheckConstraint(
                condition=Q(status__in=WITH_ANSWER, answered_at__isnull=False)
                | (~Q(status__in=WITH_ANSWER) & Q(answered_at__isnull=True)),
                name="kf_answered_has_time",
            ),
        )
        indexes = (
            models.Index(fields=["session_id", "-message_id"], name="kf_history"),
            models.Index(fields=["lease_until"], condition=Q(status__in=OPEN), name="kf_open_leases"),
            models.Index(fields=["session_id", "message_id"], condition=Q(status__in=OPEN), name="kf_open_questions"),
            # For operators. Failures are rare, so it is small, and written only by them.
            models.Index(fields=["message_id"], condition=Q(status=Status.FAILED), name="kf_failed"),
        )

    def __str__(self) -> str:
        return str(self.message_id)


class OutboxEntry(models.Model):
    """A Kafka message that was decided in a transaction and waits for, or had, its delivery."""

    topic = models.CharField(max_length=249)
    key = models.BinaryField()
    value = models.BinaryField()
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "kf_outbox"
        verbose_name_plural = "outbox entries"
        indexes = (models.Index(fields=["id"], condition=Q(sent_at__isnull=True), name="kf_outbox_unsent"),)

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"
