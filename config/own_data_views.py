"""The page where visitors see what is kept of their chats, take it along, or have it deleted."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.contrib import messages
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from redis.exceptions import RedisError

from config.formats import written
from config.visitors import visitor_of
from kafka_chat import own_data as kafka_data
from llm import conversations
from llm.shared_state import Away
from llm.timelines import own_data as timelines_data
from ws_chat import conversation as ws_conversation
from ws_chat import own_data as ws_data
from ws_chat.own_data import StillWritten

log = structlog.get_logger(__name__)

_AWAY = (Away, RedisError, DatabaseError, InterfaceError)
_NOT_NOW = gettext_noop("That is not possible at the moment. Please try again in a few seconds.")
_STILL_WRITTEN = gettext_noop(
    "An answer is still being written, so nothing was deleted. Please try again in a few seconds."
)
_NOT_SURE = gettext_noop("Tick the box first: what is deleted cannot be brought back.")
# Rows that one step of a download reads.
_AT_ONCE = 100
_in_json = DjangoJSONEncoder(ensure_ascii=False).encode


@require_safe
@never_cache
async def page(request: HttpRequest) -> HttpResponse:
    """Show how much is kept, and what can be done."""
    return await sync_to_async(_page)(request)


@require_safe
@never_cache
async def export(request: HttpRequest) -> StreamingHttpResponse:
    """Hand out everything as JSON."""
    response = StreamingHttpResponse(_everything(visitor_of(request)), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="conversations-{timezone.now():%Y-%m-%d}.json"'
    return response


@require_POST
@never_cache
async def erase(request: HttpRequest) -> HttpResponse:
    """Delete everything, where that is really wanted."""
    if request.POST.get("sure") != "yes":
        return await sync_to_async(_page)(request, _NOT_SURE, 400)
    visitor = visitor_of(request)
    try:
        # This one first: it may refuse, and has then deleted nothing.
        deleted = await ws_data.erase(visitor) + await kafka_data.erase(visitor)
        await sync_to_async(timelines_data.erase)(visitor)
    except StillWritten:
        return await sync_to_async(_page)(request, _STILL_WRITTEN, 503)
    except _AWAY as error:
        log.warning("a visitor's chats were not deleted", error=type(error).__name__)
        return await sync_to_async(_page)(request, _NOT_NOW, 503)
    log.info("a visitor's chats were deleted", rows=deleted)
    sentence = ngettext(
        "Deleted: %(count)s question with all answers.", "Deleted: %(count)s questions with all answers.", deleted
    )
    messages.success(request, sentence % {"count": written(deleted)})
    return redirect("own-data")


def _page(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    visitor = visitor_of(request)
    context = {
        "kafka_questions": kafka_data.kept(visitor).count(),
        "ws_questions": ws_data.kept(visitor).count(),
        "problem": gettext(problem),
    }
    return render(request, "own_data.html", context, status=status)


async def _everything(visitor: UUID) -> AsyncIterator[str]:
    """Yield the parts of one JSON document."""
    yield f'{{"visitor_id":{_in_json(visitor)},"exported_at":{_in_json(timezone.now())},"notes":'
    yield _in_json(
        {
            "kafka_chat": await _notes(kafka_data.name_of(visitor)),
            "websocket_chat": await _notes(ws_conversation.name_of(visitor)),
        }
    )
    for name, mine in (
        ("kafka_chat", kafka_data.kept(visitor)),
        ("websocket_chat", ws_data.kept(visitor)),
        ("timelines", timelines_data.kept(visitor)),
    ):
        yield f',"{name}":['
        after, separator = UUID(int=0), ""
        # No connection is held while the client reads.
        while some := await database_sync_to_async(_some)(mine.filter(pk__gt=after)):
            yield separator + ",".join(map(_in_json, some))
            after, separator = some[-1][mine.model._meta.pk.attname], ","
        yield "]"
    yield "}\n"


def _some(mine: QuerySet[Any]) -> list[dict[str, Any]]:
    return list(mine.order_by("pk").values()[:_AT_ONCE])


async def _notes(name: str) -> str | None:
    """Return what the model is reminded of in place of older turns; None where that cannot be known now."""
    try:
        return await conversations.notes_of(name)
    except Away:
        return None
