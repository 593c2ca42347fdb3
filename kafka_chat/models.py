"""The state buffer of the Kafka chat, and the outbox in front of the broker."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from config.ratings import Rated
from kafka_chat.categories import Category

# What a row's answer says until there is one.
PLACEHOLDER = "Processing..."


class Status(models.TextChoices):
    """Where a question stands. The last three are final."""

    QUEUED = "queued", _("Queued")
    GENERATING = "generating", _("Generating")
    ANSWERED = "answered", _("Answered")
    FAILED = "failed", _("Failed")
    STOPPED = "stopped", _("Stopped")


OPEN = (Status.QUEUED, Status.GENERATING)
# With an answer; of a stopped one, what its visitor had seen, which may be nothing.
WITH_ANSWER = (Status.ANSWERED, Status.STOPPED)


class ChatMessage(Rated):
    """One question and what became of it. `answered_at` says that the answer is ready."""

    # UUIDv7: in the order of time, which keeps the index compact.
    message_id = models.UUIDField(_("message id"), primary_key=True, default=uuid7, editable=False)
    session_id = models.UUIDField(_("session id"), help_text=_("The visitor who asked."))
    message = models.TextField(_("message"))
    response = models.TextField(_("response"), default=PLACEHOLDER)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    category = models.CharField(_("category"), max_length=32, blank=True, choices=Category)
    language = models.CharField(
        _("language"), max_length=2, blank=True, help_text=_("ISO 639-1; empty where it is not known.")
    )
    categorised_by = models.CharField(
        _("categorised by"), max_length=64, blank=True, help_text=_("The provider, or: key words.")
    )
    attempts = models.PositiveSmallIntegerField(
        _("attempts"), default=0, help_text=_("How often a worker has begun to answer.")
    )
    lease_until = models.DateTimeField(
        _("lease until"), null=True, help_text=_("Until then the worker that claimed the row is trusted to be alive.")
    )
    error = models.TextField(
        _("error"), blank=True, help_text=_("What the visitor is told where no answer could be given.")
    )
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    model = models.CharField(_("model"), max_length=128, blank=True)
    fallback = models.BooleanField(
        _("fallback"), default=False, help_text=_("Another provider was asked first and failed.")
    )
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), null=True)
    completion_tokens = models.PositiveIntegerField(_("completion tokens"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    picked_up_at = models.DateTimeField(_("picked up at"), null=True)
    first_token_at = models.DateTimeField(_("first token at"), null=True)
    answered_at = models.DateTimeField(_("answered at"), null=True)
    idempotency_key = models.CharField(_("idempotency key"), max_length=128, null=True)
    trace_id = models.UUIDField(_("trace id"), default=uuid.uuid4)

    class Meta:
        db_table = "kf_chatmessage"
        verbose_name = _("question")
        verbose_name_plural = _("questions")
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

    topic = models.CharField(_("topic"), max_length=249)
    key = models.BinaryField(_("key"))
    value = models.BinaryField(_("value"))
    headers = models.JSONField(_("headers"), default=dict)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    sent_at = models.DateTimeField(_("sent at"), null=True)

    class Meta:
        db_table = "kf_outbox"
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox entries")
        indexes = (models.Index(fields=["id"], condition=Q(sent_at__isnull=True), name="kf_outbox_unsent"),)

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"
