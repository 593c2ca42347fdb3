"""Rows: what is analysed, what is proposed and decided, and the audit log."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from data_agent.schema import PRODUCT_SPECS, PURCHASES, USERS, Table

PLANS = ("free", "pro", "enterprise")
STATUSES = ("completed", "refunded", "pending", "cancelled")


def _about(table: Table, column: str) -> Any:
    return table.column(column).comment


class AnalyticsUser(models.Model):
    """A customer."""

    id = models.BigAutoField(primary_key=True, db_comment=_about(USERS, "id"))
    name = models.TextField(db_comment=_about(USERS, "name"))
    email = models.TextField(unique=True, db_comment=_about(USERS, "email"))
    country = models.TextField(db_index=True, db_comment=_about(USERS, "country"))
    plan = models.TextField(db_comment=_about(USERS, "plan"))
    signed_up_at = models.DateTimeField(db_index=True, db_comment=_about(USERS, "signed_up_at"))

    class Meta:
        db_table = "analytics_users"
        db_table_comment = USERS.comment
        verbose_name = "customer"
        constraints = (models.CheckConstraint(condition=Q(plan__in=PLANS), name="analytics_users_plan"),)

    def __str__(self) -> str:
        return self.name


class AnalyticsPurchase(models.Model):
    """A product in an order."""

    id = models.BigAutoField(primary_key=True, db_comment=_about(PURCHASES, "id"))
    user = models.ForeignKey(
        AnalyticsUser, models.CASCADE, related_name="purchases", db_comment=_about(PURCHASES, "user_id")
    )
    product_name = models.TextField(db_index=True, db_comment=_about(PURCHASES, "product_name"))
    quantity = models.IntegerField(db_comment=_about(PURCHASES, "quantity"))
    unit_price = models.DecimalField(max_digits=10, decimal_places=2, db_comment=_about(PURCHASES, "unit_price"))
    total_amount = models.DecimalField(max_digits=12, decimal_places=2, db_comment=_about(PURCHASES, "total_amount"))
    purchased_at = models.DateTimeField(db_index=True, db_comment=_about(PURCHASES, "purchased_at"))
    status = models.TextField(db_comment=_about(PURCHASES, "status"))

    class Meta:
        db_table = "analytics_purchases"
        db_table_comment = PURCHASES.comment
        verbose_name = "purchase"
        constraints = (
            models.CheckConstraint(condition=Q(status__in=STATUSES), name="analytics_purchases_status"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="analytics_purchases_quantity"),
            models.CheckConstraint(
                condition=Q(total_amount=F("quantity") * F("unit_price")), name="analytics_purchases_total"
            ),
        )

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product_name}"


class AnalyticsProductSpec(models.Model):
    """A product."""

    id = models.BigAutoField(primary_key=True, db_comment=_about(PRODUCT_SPECS, "id"))
    name = models.TextField(unique=True, db_comment=_about(PRODUCT_SPECS, "name"))
    category = models.TextField(db_index=True, db_comment=_about(PRODUCT_SPECS, "category"))
    brand = models.TextField(db_comment=_about(PRODUCT_SPECS, "brand"))
    price = models.DecimalField(max_digits=10, decimal_places=2, db_comment=_about(PRODUCT_SPECS, "price"))
    weight_kg = models.DecimalField(max_digits=8, decimal_places=3, db_comment=_about(PRODUCT_SPECS, "weight_kg"))
    rating = models.DecimalField(max_digits=2, decimal_places=1, db_comment=_about(PRODUCT_SPECS, "rating"))
    release_date = models.DateField(db_comment=_about(PRODUCT_SPECS, "release_date"))
    specs = models.JSONField(default=dict, db_comment=_about(PRODUCT_SPECS, "specs"))

    class Meta:
        db_table = "analytics_product_specs"
        db_table_comment = PRODUCT_SPECS.comment
        verbose_name = "product"
        constraints = (
            models.CheckConstraint(condition=Q(price__gte=0), name="analytics_product_specs_price"),
            models.CheckConstraint(condition=Q(rating__range=(1, 5)), name="analytics_product_specs_rating"),
        )

    def __str__(self) -> str:
        return self.name


class Session(models.Model):
    """A conversation of one analyst with the agent."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="data_agent_sessions", verbose_name=_("owner")
    )
    title = models.TextField(_("title"), db_comment="The first question, shortened.")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "da_session"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        ordering = ("-created_at", "-id")
        permissions = (
            ("use_data_agent", "Can ask the data agent and run the queries it proposes"),
            ("see_personal_data", "Can see names and e-mail addresses in the data agent's results"),
            ("audit_data_agent", "Can read and export the data agent's audit log"),
        )

    def __str__(self) -> str:
        return self.title


class Share(models.Model):
    """Another analyst who may read a conversation, until its owner takes that back."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="shares", verbose_name=_("session"))
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="data_agent_shares", verbose_name=_("person")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "da_share"
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints = (models.UniqueConstraint(fields=("session", "person"), name="da_share_once"),)

    def __str__(self) -> str:
        return gettext("%(session)s with %(person)s") % {"session": self.session_id, "person": self.person_id}


class State(models.TextChoices):
    """Where a step stands.

    proposed -> approved -> executed -> answered is the good way; edits and re-checks stay in `proposed` or lead to
    `blocked`, from where another edit leads back. Where one query is not enough, executed -> continued, and the next
    step of the question is proposed. A step in which the model asks back has no query: asking -> replied.
    """

    PROPOSED = "proposed", _("waits for a person")
    BLOCKED = "blocked", _("refused by the guard")
    APPROVED = "approved", _("approved, being run")
    EXECUTED = "executed", _("run, being answered")
    ANSWERED = "answered", _("answered")
    FAILED = "failed", _("failed")
    REJECTED = "rejected", _("rejected by the person")
    SKIPPED = "skipped", _("skipped by the person")
    EXPIRED = "expired", _("not decided in time")
    CONTINUED = "continued", _("run, and another step follows")
    ASKING = "asking", _("asks the person")
    REPLIED = "replied", _("asked, and the person replied")


class Step(models.Model):
    """A question, the query proposed for it, the decision, and what came out."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7)
    session = models.ForeignKey(Session, models.CASCADE, related_name="steps", verbose_name=_("session"))
    number = models.PositiveIntegerField(_("number"), db_comment="Position in the session, from 1.")
    thread = models.UUIDField(_("thread"), db_index=True, db_comment="The first step of the same question.")
    part = models.PositiveSmallIntegerField(_("part"), default=1, db_comment="Position within the question, from 1.")
    state = models.CharField(_("state"), max_length=16, choices=State)
    question = models.TextField(_("question"))
    clarification = models.TextField(
        _("clarification"), blank=True, default="", db_comment="What the model asks the person."
    )
    reply = models.TextField(_("reply"), blank=True, default="", db_comment="What the person replied.")

    sql = models.TextField(
        _("SQL"), blank=True, default="", db_comment="The exact text that is shown, approved and run."
    )
    proposed_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="+",
        db_comment="Who alone may approve it.",
        verbose_name=_("proposed to"),
    )
    sql_sha256 = models.CharField(
        _("SHA-256 of the SQL"), max_length=64, blank=True, default="", db_comment="SHA-256 of sql in UTF-8."
    )
    policy_version = models.CharField(_("policy version"), max_length=64, blank=True, default="")
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, db_comment="After this it cannot be approved any more."
    )
    explanation = models.TextField(_("explanation"), blank=True, default="", db_comment="The query in plain words.")
    source = models.CharField(_("source"), max_length=16, default="model", db_comment="model, verified or edited.")
    note = models.TextField(_("note"), blank=True, default="", db_comment="Why this is not the model's own query.")
    verdict = models.JSONField(
        _("verdict"), default=dict, db_comment="The guard's verdict: tables, columns, reasons, warnings."
    )
    estimated_rows = models.BigIntegerField(
        _("estimated rows"), null=True, blank=True, db_comment="PostgreSQL's estimate."
    )
    estimated_cost = models.FloatField(
        _("estimated cost"), null=True, blank=True, db_comment="As PostgreSQL's planner counts it."
    )
    provider = models.CharField(_("provider"), max_length=32, blank=True, default="")
    model = models.CharField(_("model"), max_length=128, blank=True, default="")
    fallback = models.BooleanField(_("fallback"), default=False)

    reason = models.TextField(_("reason"), blank=True, default="", db_comment="What the person said on rejecting it.")
    columns = models.JSONField(_("columns"), default=list, db_comment="Names and types of the result's columns.")
    rows = models.JSONField(_("rows"), default=list, db_comment="The result, at most 1,000 rows and 1 MB.")
    bytes = models.PositiveIntegerField(_("bytes"), default=0, db_comment="Size of the rows as texts in UTF-8.")
    personal = models.BooleanField(
        _("personal"), default=False, db_comment="Whether the rows hold personal data as it is, unmasked."
    )
    cut = models.BooleanField(_("cut"), default=False, db_comment="Whether the result was longer than what is kept.")
    duration_ms = models.PositiveIntegerField(_("duration, ms"), null=True, blank=True)
    answer = models.TextField(_("answer"), blank=True, default="")
    answer_source = models.CharField(
        _("answer source"), max_length=16, blank=True, default="", db_comment="model or rule."
    )
    numbers = models.JSONField(_("numbers"), default=list, db_comment="Where each number of the answer comes from.")
    error = models.TextField(_("error"), blank=True, default="")
    said = models.JSONField(
        _("said"),
        null=True,
        blank=True,
        db_comment="How note, error, reasons and warnings were made, to say them in other languages.",
    )

    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        db_table = "da_step"
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="da_step_number"),)

    def __str__(self) -> str:
        return f"{self.number}. {self.question}"


class VerifiedQuestion(models.Model):
    """A question whose SQL staff marked as right; what ships with the project is in a file beside this module."""

    question = models.TextField(_("question"), unique=True)
    sql = models.TextField(_("SQL"), db_comment="As it was approved and run.")
    explanation = models.TextField(_("explanation"), blank=True, default="")
    step = models.ForeignKey(
        Step, models.SET_NULL, null=True, blank=True, related_name="verified_questions", verbose_name=_("step")
    )
    verified_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("verified by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "da_verified_question"
        verbose_name = _("verified question")
        verbose_name_plural = _("verified questions")
        ordering = ("question",)

    def __str__(self) -> str:
        return self.question


class AuditEvent(models.Model):
    """One event of the append-only log; written by `data_agent.audit` alone.

    The table is made by SQL in the migration, because Django may not manage it: a trigger refuses UPDATE, DELETE and
    TRUNCATE. It refers to other rows by value, so that it outlives them.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    at = models.DateTimeField(_("at"))
    kind = models.TextField(_("kind"))
    session_id = models.UUIDField(_("session id"), null=True)
    step_id = models.UUIDField(_("step id"), null=True)
    person = models.TextField(_("person"))
    address = models.TextField(_("address"))
    question = models.TextField(_("question"))
    sql = models.TextField(_("SQL"))
    fingerprint = models.TextField(_("fingerprint"))
    verdict = models.JSONField(_("verdict"))
    cost = models.FloatField(_("cost"), null=True)
    rows = models.BigIntegerField(_("rows"), null=True)
    bytes = models.BigIntegerField(_("bytes"), null=True)
    duration_ms = models.BigIntegerField(_("duration, ms"), null=True)
    error = models.TextField(_("error"))
    previous_hash = models.TextField(_("previous hash"))
    hash = models.TextField(_("hash"))

    class Meta:
        db_table = "da_audit_event"
        managed = False
        ordering = ("-id",)
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")

    def __str__(self) -> str:
        return f"{self.id} {self.kind}"


class AuditCheckpoint(models.Model):
    """What stands in place of the removed head of the log; written by `data_agent.checkpoints` alone.

    Made by SQL in the migration, for the same reasons.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    at = models.DateTimeField(_("at"))
    last_id = models.BigIntegerField(_("last id"))
    last_hash = models.TextField(_("last hash"))
    removed = models.BigIntegerField(_("removed"))
    previous_signature = models.TextField(_("previous signature"))
    key_id = models.TextField(_("key id"))
    signature = models.TextField(_("signature"))

    class Meta:
        db_table = "da_audit_checkpoint"
        managed = False
        ordering = ("-id",)
        verbose_name = _("audit checkpoint")
        verbose_name_plural = _("audit checkpoints")

    def __str__(self) -> str:
        return gettext("%(id)s: up to %(last)s") % {"id": self.id, "last": self.last_id}
