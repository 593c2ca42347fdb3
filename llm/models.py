"""The ledger of model calls, the prices that its costs come from, and how the about page presents itself."""

from functools import cached_property
from typing import Any, get_args

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from config import formats
from config.env import PROVIDERS
from llm import persona
from llm.types import Purpose

# Questions that a visitor may begin with, and characters of each: they are buttons.
MAX_SUGGESTIONS = 5
MAX_SUGGESTION = 100


def provider_choices() -> list[tuple[str, str]]:
    """Return the providers there are."""
    return [(name, name) for name in PROVIDERS]


def purpose_choices() -> list[tuple[str, str]]:
    """Return what models are asked for."""
    return [(name, name) for name in get_args(Purpose)]


class Price(models.Model):
    """What a provider asks for a model from a moment on: one version of the price table.

    A version that has been applied to a call cannot be changed or deleted (a trigger refuses it): whoever looks at an
    old cost must find what it was made from. A new price is a new version.
    """

    provider = models.CharField(_("provider"), max_length=64, choices=provider_choices)
    model = models.CharField(
        _("model"),
        max_length=128,
        blank=True,
        help_text=_("Also meant for the model's dated versions, such as gpt-4o-2024-08-06. Empty: every model."),
    )
    valid_from = models.DateTimeField(
        _("valid from"),
        default=timezone.now,
        help_text=_("For calls from this moment (UTC) on, until there is a newer version."),
    )
    prompt_usd = models.DecimalField(
        _("prompt, USD per million tokens"), max_digits=12, decimal_places=6, validators=[MinValueValidator(0)]
    )
    completion_usd = models.DecimalField(
        _("completion, USD per million tokens"), max_digits=12, decimal_places=6, validators=[MinValueValidator(0)]
    )
    note = models.CharField(_("note"), max_length=200, blank=True, help_text=_("Where the price comes from."))

    class Meta:
        db_table = "llm_price"
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ("provider", "model", "-valid_from")
        constraints = (
            models.UniqueConstraint(
                fields=["provider", "model", "valid_from"],
                name="llm_price_version",
                violation_error_message=_("There is a price for this model from this moment on already."),
            ),
            models.CheckConstraint(
                condition=models.Q(prompt_usd__gte=0, completion_usd__gte=0), name="llm_price_is_not_negative"
            ),
        )

    def __str__(self) -> str:
        return gettext("%(provider)s %(model)s from %(moment)s") % {
            "provider": self.provider,
            "model": self.model or gettext("(every model)"),
            "moment": f"{formats.day(self.valid_from)} {self.valid_from:%H:%M}",
        }

    @cached_property
    def applied(self) -> bool:
        """Whether a call was priced with this version."""
        return self.calls.exists()


class Call(models.Model):
    """One request to one provider. Written by `llm.ledger.calls` and never changed, but for a cost that was unknown."""

    # UUIDv7, made when the call ends: writing it twice does nothing, and the index stays compact.
    call_id = models.UUIDField(_("call id"), primary_key=True, editable=False)
    purpose = models.CharField(_("purpose"), max_length=16, choices=purpose_choices)
    provider = models.CharField(_("provider"), max_length=64)
    model = models.CharField(_("model"), max_length=128)
    prompt_tokens = models.PositiveIntegerField(_("prompt tokens"))
    completion_tokens = models.PositiveIntegerField(_("completion tokens"))
    estimated = models.BooleanField(
        _("estimated"), help_text=_("The tokens are our estimate, because the provider did not count them.")
    )
    # The database would look the price up for each call; a trigger keeps those that were applied.
    price = models.ForeignKey(
        Price,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="calls",
        null=True,
        blank=True,
        help_text=_("The version of the price table that was applied; none: no price was known."),
        verbose_name=_("price"),
    )
    cost = models.DecimalField(
        _("cost, USD"), max_digits=20, decimal_places=12, null=True, blank=True, help_text=_("Empty: unknown.")
    )
    started_at = models.DateTimeField(_("started at"))
    first_token_ms = models.PositiveIntegerField(
        _("first token, ms"), null=True, help_text=_("Milliseconds to the first piece of text.")
    )
    total_ms = models.PositiveIntegerField(_("total, ms"), help_text=_("Milliseconds to the end."))
    outcome = models.CharField(
        _("outcome"),
        max_length=32,
        help_text=_("stop or length: a whole answer; left: nobody wanted the rest; otherwise the kind of error."),
    )
    fallback = models.BooleanField(_("fallback"), help_text=_("Another provider was to be asked first."))
    trace_id = models.UUIDField(
        _("trace id"), null=True, help_text=_("Joins the calls that were made for one question.")
    )

    class Meta:
        db_table = "llm_call"
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        ordering = ("-started_at", "-call_id")
        indexes = (
            models.Index(fields=["-started_at", "-call_id"], name="llm_call_newest"),
            *(
                models.Index(fields=[field, "-started_at"], name=f"llm_call_{field}")
                for field in ("purpose", "provider", "model", "outcome")
            ),
            models.Index(fields=["trace_id"], name="llm_call_trace"),
            # These are rare, so their indexes are small.
            models.Index(fields=["-started_at"], name="llm_call_fallback", condition=models.Q(fallback=True)),
            models.Index(fields=["provider", "model"], name="llm_call_unpriced", condition=models.Q(price=None)),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(price=None, cost=None) | models.Q(price__isnull=False, cost__isnull=False),
                name="llm_call_cost_has_a_price",
            ),
        )

    def __str__(self) -> str:
        return gettext("%(provider)s %(model)s at %(moment)s") % {
            "provider": self.provider,
            "model": self.model,
            "moment": formats.moment(self.started_at),
        }


def _suggested(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_suggestions(text: str) -> None:
    """Raise ValidationError where there are too many questions, or one is too long for a button."""
    questions = _suggested(text)
    if len(questions) > MAX_SUGGESTIONS:
        raise ValidationError(
            gettext("Please leave at most %(most)s questions; there are %(count)s.")
            % {"most": MAX_SUGGESTIONS, "count": len(questions)}
        )
    for question in questions:
        if len(question) > MAX_SUGGESTION:
            raise ValidationError(
                gettext("Please shorten “%(question)s…” to %(most)s characters.")
                % {"question": question[:40], "most": MAX_SUGGESTION}
            )


class Profile(models.Model):
    """Whose page the about page is and how it greets: one row, or none as long as nobody has changed anything."""

    id = models.PositiveSmallIntegerField(_("id"), primary_key=True, default=1, editable=False)
    owner = models.CharField(
        _("owner"), max_length=80, default="Triptych", help_text=_("Whose page it is; part of its title.")
    )
    greeting = models.CharField(
        _("greeting"),
        max_length=120,
        default=gettext_noop("One question, three architectures"),
        help_text=_("The headline above the chats."),
    )
    introduction = models.TextField(
        _("introduction"),
        max_length=500,
        blank=True,
        default=gettext_noop("Ask over Kafka or over a WebSocket, and see how each answer comes."),
        help_text=_("A sentence or two below it."),
    )
    suggestions = models.TextField(
        _("suggested questions"),
        blank=True,
        default="\n".join(
            (
                gettext_noop("What is Kafka good at?"),
                gettext_noop("What is a WebSocket?"),
                gettext_noop("Write four lines about the sea."),
            )
        ),
        validators=[check_suggestions],
        help_text=format_lazy(_("Shown in an empty chat. One on each line, at most {most}."), most=MAX_SUGGESTIONS),
    )

    system_prompt = models.TextField(
        _("system prompt"),
        max_length=persona.LONGEST,
        default=persona.DEFAULT,
        help_text=_("What the models of both chats are told before every conversation. It counts within seconds."),
    )

    class Meta:
        db_table = "llm_profile"
        verbose_name = verbose_name_plural = _("about page")
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="llm_one_profile"),)

    def __str__(self) -> str:
        return gettext("About page of %(owner)s") % {"owner": self.owner}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; in this process it counts at once."""
        super().save(*args, **kwargs)
        transaction.on_commit(lambda: persona.take(self.system_prompt))

    @classmethod
    def current(cls) -> "Profile":
        """Return what is shown now: one read, by primary key."""
        return cls.objects.filter(pk=1).first() or cls()

    @property
    def suggested(self) -> list[str]:
        """The suggested questions."""
        return _suggested(self.suggestions)
