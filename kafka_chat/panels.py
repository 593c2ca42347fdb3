"""What the operators' page shows of the Kafka chat."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_noop

from config.formats import written
from config.observability.looking import Look
from config.panels import Panel
from kafka_chat import backlog, daily, letters, positions, topics
from kafka_chat.backlog import Standing
from kafka_chat.models import ChatMessage, Status

# Seconds for which the broker's word is told again.
FRESH = 1.0
# Reasons for failures, the most frequent.
_REASONS = 8
_NONE = "\N{EN DASH}"


def _ask_broker() -> tuple[list[Standing], int]:
    """Return where the groups stand, and how many dead letters nobody has sent back."""
    with positions.bystander(letters.GROUP) as bystander:
        buried = Standing(letters.GROUP, topics.DEAD_LETTERS, positions.of(bystander, topics.DEAD_LETTERS))
    return backlog.standings(), buried.lag


_broker = Look("consumer groups", _ask_broker)


def _groups() -> Mapping[str, Any] | None:
    found = _broker.found(FRESH)
    if found is None:
        return None
    standings, dead = found
    return {"groups": standings, "dead": dead, "has_topics": any(each.positions for each in standings)}


def _waiting() -> Mapping[str, Any]:
    waiting = backlog.waiting()
    return {
        "open": [
            (Status(status).label, number, _questions(status__exact=status))
            for status, number in waiting.questions.items()
        ],
        "oldest": _in_words(waiting.oldest) if any(waiting.questions.values()) else _NONE,
        "late": waiting.oldest > daily.LATE,
        "outbox": waiting.outbox,
    }


def _asked() -> Mapping[str, Any]:
    rows = daily.within(ChatMessage.objects.all(), str(daily.DAYS))
    failed = rows.filter(status=Status.FAILED).order_by().values_list("error").annotate(number=Count("*"))
    retried = rows.filter(attempts__gt=1).count()
    days = str(daily.DAYS)
    return {
        "summary": daily.summary(rows, lambda filters: _questions(**filters)),
        "reasons": [
            (
                gettext(reason or letters.NO_REASON),
                number,
                _questions(day=days, status__exact="failed", error=reason),
            )
            for reason, number in failed.order_by("-number", "error")[:_REASONS]
        ],
        "retried": retried,
        "retried_link": _questions(day=days, retried="yes"),
        "days": daily.DAYS,
    }


# Of each unit two at least.
_AGES = (
    (gettext_noop("%(count)s days"), 86_400),
    (gettext_noop("%(count)s hours"), 3_600),
    (gettext_noop("%(count)s min"), 60),
)


def _in_words(seconds: float) -> str:
    """Return an age as people say it."""
    for said, size in _AGES:
        if seconds >= 2 * size:
            return gettext(said) % {"count": written(seconds / size)}
    return f"{written(seconds)} s"


def _questions(**filters: str) -> str:
    """Return the address of the list with these filters."""
    return f"{reverse('admin:kafka_chat_chatmessage_changelist')}?{urlencode(filters)}"


_MAY_SEE = "kafka_chat.view_chatmessage"
_NO_DATABASE = gettext_noop(
    "PostgreSQL does not answer. Questions are refused with 503 until it does; reload this page then."
)

PANELS = (
    Panel(
        title=gettext_noop("What waits"),
        permission=_MAY_SEE,
        template="admin/operations/waiting.html",
        look=_waiting,
        silence=_NO_DATABASE,
    ),
    Panel(
        title=gettext_noop("Kafka"),
        permission=_MAY_SEE,
        template="admin/operations/groups.html",
        look=_groups,
        silence=gettext_noop(
            "The broker does not answer. Questions are accepted all the same, and answered once it is back."
        ),
        begin=lambda: _broker.begin(FRESH),
    ),
    Panel(
        title=gettext_noop("Questions"),
        permission=_MAY_SEE,
        template="admin/operations/questions.html",
        look=_asked,
        is_wide=True,
        silence=_NO_DATABASE,
    ),
)
