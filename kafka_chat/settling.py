"""Sending dead letters back, or dismissing them, from the admin: first what would happen, then, after a yes, it does.

What `kafka_replay --dead-letters` does on the command line. The yes is for the letters that were shown: those that came
since then stay.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, cast

import structlog
from asgiref.sync import async_to_sync
from confluent_kafka import KafkaException
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext, override
from django.views.decorators.http import require_POST
from redis.exceptions import RedisError

from kafka_chat import letters
from kafka_chat.clients import DeliveryFailed
from kafka_chat.letter_views import glance
from kafka_chat.letters import Letter

log = structlog.get_logger(__name__)

# Letters at once, the oldest of each partition, and how many of them are shown first. `kafka_replay` takes any number.
MOST = 500
_SHOWN = 20

Action = Literal["send-back", "dismiss"]
_VERBS = {"send-back": letters.send_back, "dismiss": letters.dismiss}
# Of each partition the last offset that was shown: "0:17 3:4".
_UP_TO = re.compile(r"(\d{1,4}):(\d{1,18})(?: |$)")


@require_POST
@permission_required("kafka_chat.change_chatmessage", raise_exception=True)
def settle(request: HttpRequest) -> HttpResponse:
    """Show what would become of the letters, or do it."""
    if request.POST.get("action") not in _VERBS:
        return HttpResponseBadRequest(gettext("Go back, reload the page, and choose one of its buttons."))
    action = cast(Action, request.POST["action"])
    try:
        unsent = letters.unsent(MOST)
    except KafkaException:
        messages.error(request, gettext("The broker does not answer, so nothing was done. Try again when it is back."))
        return redirect("dead-letters")
    if "up_to" in request.POST:
        ends = {int(partition): int(offset) for partition, offset in _UP_TO.findall(request.POST["up_to"])}
        _do(request, action, [letter for letter in unsent if letter.offset <= ends.get(letter.partition, -1)])
    elif unsent:
        return TemplateResponse(request, "admin/operations/settle.html", _plan(request, action, unsent))
    else:
        messages.info(request, gettext("All dead letters were sent back or dismissed before."))
    return redirect("dead-letters")


def _plan(request: HttpRequest, action: Action, unsent: Sequence[Letter]) -> dict[str, object]:
    ends = {letter.partition: letter.offset for letter in unsent}
    lost = sum(not letter.topic for letter in unsent)
    return {
        **admin.site.each_context(request),
        "title": gettext("Send back?") if action == "send-back" else gettext("Dismiss?"),
        "action": action,
        "number": len(unsent),
        # Those that know no topic of ours to go back to.
        "lost": lost,
        "sent": len(unsent) - lost,
        "topics": sorted(Counter(letter.topic for letter in unsent if letter.topic).items()),
        "shown": [(glance(letter), letter.topic) for letter in unsent[:_SHOWN]],
        "more": max(0, len(unsent) - _SHOWN),
        "is_all": len(unsent) < MOST,
        "up_to": " ".join(f"{partition}:{offset}" for partition, offset in sorted(ends.items())),
    }


def _do(request: HttpRequest, action: Action, chosen: Sequence[Letter]) -> None:
    taken: list[int] = []
    try:
        async_to_sync(_run)(action, chosen, taken.append)
    except (KafkaException, DeliveryFailed, RedisError):
        messages.error(
            request,
            gettext("A server does not answer. %(done)s; do the rest again when it is back, that is safe.")
            % {"done": _done(action, sum(taken))},
        )
    else:
        messages.success(request, f"{_done(action, sum(taken))}.")
    places = ", ".join(f"{letter.partition}:{letter.offset}" for letter in chosen[: len(taken)])
    if taken:
        with override("en"):
            done = _done(action, sum(taken))
        LogEntry.objects.create(
            user_id=str(request.user.pk),
            action_flag=CHANGE,
            object_repr="dead letters",
            change_message=f"{done}: {places}.",
        )
    log.warning("an operator settled dead letters", action=action, letters=sum(taken), operator=request.user.pk)


async def _run(action: Action, chosen: Sequence[Letter], note: Callable[[int], None]) -> None:
    async for number in _VERBS[action](chosen):
        note(number)


def _done(action: Action, count: int) -> str:
    if action == "send-back":
        said = ngettext("%(count)s dead letter was sent back", "%(count)s dead letters were sent back", count)
    else:
        said = ngettext("%(count)s dead letter was dismissed", "%(count)s dead letters were dismissed", count)
    return said % {"count": count}
