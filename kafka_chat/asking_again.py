"""Asking failed questions again from the admin's list: first what would happen, then, after a yes, it does."""

from typing import Any

import structlog
from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from redis.exceptions import RedisError

from kafka_chat import replaying
from kafka_chat.models import ChatMessage, Status

log = structlog.get_logger(__name__)

# Questions at once, and how many of them are shown first. For more there is `kafka_replay`.
MOST = 500
_SHOWN = 20


def ask_again(request: HttpRequest, chosen: QuerySet[ChatMessage], context: dict[str, Any]) -> TemplateResponse | None:
    """Return the page that asks whether to do it; None where that was answered, or there is nothing to do."""
    failed = list(chosen.filter(status=Status.FAILED).order_by("message_id")[: MOST + 1])
    if not failed:
        messages.warning(
            request, gettext("None of the chosen questions has failed. Only failed questions can be asked again.")
        )
    elif len(failed) > MOST:
        messages.warning(
            request,
            gettext(
                "These are more than %(most)s failed questions. Choose fewer, or run manage.py kafka_replay --failed."
            )
            % {"most": MOST},
        )
    elif "confirmed" in request.POST:
        _do(request, failed)
    else:
        return TemplateResponse(
            request,
            "admin/operations/ask_again.html",
            {
                **admin.site.each_context(request),
                **context,
                "title": gettext("Ask again?"),
                "failed": failed,
                "shown": failed[:_SHOWN],
                "more": max(0, len(failed) - _SHOWN),
                "others": chosen.exclude(status=Status.FAILED).count(),
                "checkbox": ACTION_CHECKBOX_NAME,
            },
        )
    return None


def _do(request: HttpRequest, failed: list[ChatMessage]) -> None:
    done: list[int] = []
    try:
        async_to_sync(_ask)([row.pk for row in failed], done)
    except RedisError:
        messages.error(
            request,
            gettext(
                "Redis cannot be reached, and without it visitors would be told of the earlier failure once more. "
                "%(done)s; try the others when it is back."
            )
            % {"done": _number(sum(done))},
        )
    else:
        messages.success(request, gettext("%(done)s. The workers answer now.") % {"done": _number(sum(done))})
    again = ChatMessage.objects.filter(pk__in=[row.pk for row in failed]).exclude(status=Status.FAILED)
    LogEntry.objects.log_actions(str(request.user.pk), again, CHANGE, "Asked again.")
    log.info("an operator asked failed questions again", questions=sum(done), operator=request.user.pk)


async def _ask(ids: list[Any], done: list[int]) -> None:
    async for number in replaying.ask_again(ids):
        done.append(number)


def _number(questions: int) -> str:
    said = ngettext("%(count)s question was asked again", "%(count)s questions were asked again", questions)
    return said % {"count": questions}
