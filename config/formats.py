"""Numbers, days and moments as people write them in the language that is active."""

from datetime import date, datetime
from decimal import Decimal

from django.utils import dateformat
from django.utils.formats import number_format
from django.utils.translation import gettext


def written(number: float | Decimal, digits: int = 0) -> str:
    """Return a number, rounded to so many decimal places, as people write it in the language that is active."""
    # Django cuts off what is too long.
    return number_format(f"{number:.{digits}f}", force_grouping=True)


def day(when: date) -> str:
    """Return a day as lists and charts have it: 2026-01-31, or what their language makes of it."""
    # Translators: a day, as Django's filter `date` is told to write it.
    return dateformat.format(when, gettext("Y-m-d"))


def moment(when: datetime) -> str:
    """Return a moment as lists have it, to the second and in its own time zone: 2026-01-31 23:59:59."""
    # Translators: a moment, as Django's filter `date` is told to write it.
    return dateformat.format(when, gettext("Y-m-d H:i:s"))
