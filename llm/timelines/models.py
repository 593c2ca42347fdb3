"""One timeline for each question whose sender saw its end, and says so."""

from django.db import models
from django.utils.translation import gettext_lazy


class Transport(models.TextChoices):
    """How the answer came to the browser."""

    WEBSOCKET = "websocket", "WebSocket"
    EVENTS = "sse", gettext_lazy("server-sent events")
    HELD = "held", gettext_lazy("held polling")
    PLAIN = "plain", gettext_lazy("plain polling")


class Chat(models.TextChoices):
    """Which of the chats answered."""

    KAFKA = "kafka", gettext_lazy("Kafka chat")
    WEBSOCKET = "websocket", gettext_lazy("WebSocket chat")


class Timeline(models.Model):
    """What happened to one question. It has no text of it, and nobody's but its visitor's page shows it.

    Milliseconds are those since the browser sent the question; see `joining` for how they are made.
    """

    trace_id = models.UUIDField(primary_key=True, editable=False)
    visitor_id = models.UUIDField(help_text="The visitor who asked.")
    chat = models.CharField(max_length=9, choices=Chat)
    transport = models.CharField(max_length=9, choices=Transport)
    asked_at = models.DateTimeField(help_text="When the question arrived at the server.")
    outcome = models.CharField(max_length=11)
    # accepted, written, published, picked_up, first_token, last_token, stored: those that are known.
    marks = models.JSONField(default=dict)
    accepted_seen_ms = models.FloatField(help_text="When the browser knew that the question was accepted.")
    first_seen_ms = models.FloatField("first sight, ms", null=True, help_text="When the browser showed the first text.")
    seen_ms = models.FloatField("completion, ms", help_text="When the browser showed the end.")
    reconnects = models.PositiveIntegerField(default=0)
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=128, blank=True)
    fallback = models.BooleanField(default=False)
    prompt_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField("cost, USD", max_digits=20, decimal_places=12, null=True)
    # Statements; where several questions shared one, the share of this one.
    reads = models.FloatField(default=0)
    writes = models.FloatField(default=0)
    # Those that nobody waited for: the ledger of calls, the question's category.
    beside_reads = models.FloatField(default=0)
    beside_writes = models.FloatField(default=0)

    class Meta:
        db_table = "llm_timeline"
        indexes = (models.Index(fields=["asked_at"], name="llm_timeline_asked"),)

    def __str__(self) -> str:
        return str(self.trace_id)
