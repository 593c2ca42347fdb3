"""What a person is told whose budget is used up, in the active language."""

import math
from collections.abc import Callable

from django.utils.translation import gettext, ngettext

from config.formats import written
from llm.limits import SECONDS, Window

# By whose limit it is, and of which window.
_REASONS: dict[tuple[str, Window], Callable[[int], str]] = {
    ("session", "minute"): lambda limit: ngettext(
        "You have asked %(limit)s question within a minute, which is the limit.",
        "You have asked %(limit)s questions within a minute, which is the limit.",
        limit,
    ),
    ("session", "hour"): lambda limit: ngettext(
        "You have asked %(limit)s question within an hour, which is the limit.",
        "You have asked %(limit)s questions within an hour, which is the limit.",
        limit,
    ),
    ("session", "day"): lambda _: gettext(
        "You have too little left of the %(limit)s tokens (pieces of words) of a day for this question."
    ),
    ("address", "minute"): lambda limit: ngettext(
        "People at your network address have together asked %(limit)s question within a minute, which is the limit.",
        "People at your network address have together asked %(limit)s questions within a minute, which is the limit.",
        limit,
    ),
    ("address", "hour"): lambda limit: ngettext(
        "People at your network address have together asked %(limit)s question within an hour, which is the limit.",
        "People at your network address have together asked %(limit)s questions within an hour, which is the limit.",
        limit,
    ),
    ("address", "day"): lambda _: gettext(
        "People at your network address have together too little left of the %(limit)s tokens (pieces of words) "
        "of a day for this question."
    ),
}


def reason(subject: str, window: Window, limit: int) -> str:
    """Return the sentence on a limit that is reached: of a session or an address, in a window."""
    return _REASONS[subject, window](limit) % {"limit": written(limit)}


def wait(seconds: int) -> str:
    """Return a wait as people say it, rather too long than too short."""
    if seconds > 1.5 * SECONDS["hour"]:
        return gettext("about %(count)s hours") % {"count": math.ceil(seconds / SECONDS["hour"])}
    if seconds > 1.5 * SECONDS["minute"]:
        return gettext("about %(count)s minutes") % {"count": math.ceil(seconds / SECONDS["minute"])}
    return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
