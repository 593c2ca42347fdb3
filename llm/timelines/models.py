"""One timeline for each question whose sender saw its end, and says so."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Transport(models.TextChoices):
    """How the answer came to the browser."""

    WEBSOCKET = "websocket", "WebSocket"
    EVENTS = "sse", _("server-sent events")
    HELD = "held", _("held polling")
    PLAIN = "plain", _("plain polling")


class Chat(models.TextChoices):
    """Which of the chats answered."""

    KAFKA = "kafka", _("Kafka chat")
    WEBSOCKET = "websocket", _("WebSocket chat")


class Timeline(models.Model):
    """What happened to one question. It has no text of it, and nobody's but its visitor's page shows it.

    Milliseconds are those since the browser sent the question; see `joining` for how they are made.
    """

    trace_id = models.UUIDField(_("trace id"), primary_key=True, editable=False)
    visitor_id = models.UUIDField(_("visitor id"), help_text=_("The visitor who asked."))
    chat = models.CharField(_("chat"), max_length=9, choices=Chat)
    transport = models.CharField(_("transport"), max_length=9, choices=Transport)
    asked_at = models.DateTimeField(_("asked at"), help_text=_("When the question arrived at the server."))
    outcome = models.CharField(_("outcome"), max_length=11)
    # accepted, written, published, picked_up, first_token, last_token, stored: those that are known.
    marks = models.JSONField(_("marks"), default=dict)
    accepted_seen_ms = models.FloatField(
        _("acceptance seen, ms"), help_text=_("When the browser knew that the question was accepted.")
    )
    first_seen_ms = models.FloatField(
        _("first sight, ms"), null=True, help_text=_("When the browser showed the first text.")
    )
    seen_ms = models.FloatField(_("completion, ms"), help_text=_("When the browser showed the end."))
    reconnects = models.PositiveIntegerField(_("reconnects"), default=0)
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    model = models.CharField(_("model"), max_length=128, blank=True)
    fallback = models.BooleanField(_("fallback"), default=False)
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"), null=True)
    completion_tokens = models.PositiveIntegerField(_("completion tokens"), null=True)
    cost = models.DecimalField(_("cost, USD"), max_digits=20, decimal_places=12, null=True)
    # Statements; where several questions shared one, the share of this one.
    reads = models.FloatField(_("reads"), default=0)
    writes = models.FloatField(_("writes"), default=0)
    # Those that nobody waited for: the ledger of calls, the question's category.
    beside_reads = models.FloatField(_("beside reads"), default=0)
    beside_writes = models.FloatField(_("beside writes"), default=0)

    class Meta:
        db_table = "llm_timeline"
        verbose_name = _("timeline")
        verbose_name_plural = _("timelines")
        indexes = (models.Index(fields=["asked_at"], name="llm_timeline_asked"),)

    def __str__(self) -> str:
        return str(self.trace_id)
