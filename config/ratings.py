"""What visitors think of an answer: a thumb and a comment, stored with the row, in each chat alike."""

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Rating(models.TextChoices):
    """What a visitor thinks of an answer."""

    UP = "up", _("Up")
    DOWN = "down", _("Down")


class Rated(models.Model):
    """A row with an answer that its visitor may rate."""

    rating = models.CharField(
        _("rating"), max_length=4, choices=Rating, blank=True, help_text=_("What the visitor thinks of it.")
    )
    comment = models.TextField(_("comment"), blank=True, help_text=_("What the visitor says about it."))
    rated_at = models.DateTimeField(_("rated at"), null=True)

    class Meta:
        abstract = True


def rate(rows: models.QuerySet[Any], rating: str, comment: str) -> bool:
    """Store what a visitor thinks of the one row there may be, in place of what they thought; returns whether it is."""
    return rows.update(rating=rating, comment=comment, rated_at=timezone.now()) == 1
