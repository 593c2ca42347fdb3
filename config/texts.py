"""The text that a person may send, the same in every chat."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_LENGTH = 4000
# Of what is said about an answer.
MAX_COMMENT = 1000
# What PostgreSQL's text cannot hold (NUL, lone surrogates), and other control characters but tab and line ends.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
