"""The text that a person may send, the same in every chat."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from django.utils import dateformat
from django.utils.formats import number_format
from django.utils.translation import gettext
from pydantic import AfterValidator, StringConstraints

MAX_LENGTH = 4000
# Of what is said about an answer.
MAX_COMMENT = 1000
# What PostgreSQL's text cannot hold (NUL, lone surrogates), and other control characters but tab and line ends.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def written(number: float | Decimal, digits: int = 0) -> str:
    """Return a number, rounded to so many decimal places, as people write it in the language that is active."""
    # Django cuts off what is too long.
    return number_format(f"{number:.{digits}f}", force_grouping=True)


def day(when: date) -> str:
    """Return a day as operators read it: 2026-01-31, or what their language makes of it."""
    # Translators: a day, as Django's filter `date` is told to write it.
    return dateformat.format(when, gettext("Y-m-d"))


def moment(when: datetime) -> str:
    """Return a moment as operators read it, to the second and in its own time zone: 2026-01-31 23:59:59."""
    # Translators: a moment, as Django's filter `date` is told to write it.
    return dateformat.format(when, gettext("Y-m-d H:i:s"))


def _storable(value: str) -> str:
    if _UNSTORABLE.search(value):
        raise ValueError("control characters")
    return value


# Errors have pydantic's types string_too_short, string_too_long and value_error.
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LENGTH),
    AfterValidator(_storable),
]

# May be empty.
Comment = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_COMMENT),
    AfterValidator(_storable),
]
