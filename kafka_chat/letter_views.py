"""The operators' page of dead letters: the newest, read from their topic, and little of each."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from config.observability.looking import Look
from kafka_chat import failures, letters
from kafka_chat.letters import Letter

# The newest that are shown, and of each partition those that are read; bytes of a value, and characters of a key.
MOST = 50
PREVIEW = 600
_KEY = 80
# Seconds for which the broker's word is told again, and in which it is to give the letters.
FRESH = 1.0
_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Glance:
    """What is shown of a letter. Texts have no character that a page could not show, or that would change its order.

    Several operators are shown the same, each in their language. `origin` is empty where it is not known.
    """

    place: str
    buried_at: datetime
    key: str
    origin: str
    reason: str
    size: int
    preview: str
    is_cut: bool
    question: UUID | None


def glance(letter: Letter) -> Glance:
    """Return what is shown of a letter."""
    headers = failures.headers_of(letter.message)
    value = letter.message.value() or b""
    origin = [readable(headers.get(name), _KEY) for name in ("dead_topic", "dead_partition", "dead_offset")]
    return Glance(
        place=f"{letter.partition}:{letter.offset}",
        buried_at=letter.buried_at,
        key=readable(letter.message.key(), _KEY),
        origin=f"{origin[0]} {origin[1]}:{origin[2]}" if origin[0] else "",
        reason=readable(letter.reason, 1000),
        size=letter.size,
        preview=readable(value, PREVIEW),
        is_cut=len(value) > PREVIEW,
        question=failures.question_of(letter.message),
    )


def readable(raw: str | bytes | None, most: int) -> str:
    """Return the beginning of what anybody may have written, as text: what cannot be seen is written as an escape."""
    text = raw[:most].decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else (raw or "")[:most]
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode() for each in text
    )


_newest = Look("dead letters", lambda: letters.latest(MOST, _SECONDS, glance))


@require_safe
@permission_required("kafka_chat.view_chatmessage", raise_exception=True)
def page(request: HttpRequest) -> TemplateResponse:
    """Show them, newest first; or that the broker does not answer."""
    found = _newest.found(FRESH)
    newest = found and sorted(found, key=lambda each: each.buried_at, reverse=True)[:MOST]
    context = {**admin.site.each_context(request), "title": gettext("Dead letters"), "letters": newest, "most": MOST}
    return TemplateResponse(request, "admin/operations/dead_letters.html", context)
