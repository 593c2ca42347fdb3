"""Thumbs: the visitor's own answers, changeable, stored with the row, filtered in the admin."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.ws_chat.conftest import Socket, rows
from ws_chat import audit, protocol
from ws_chat.models import ChatMessage, Status

pytestmark = pytest.mark.django_db(transaction=True)


async def _rate(socket: Socket, run: str, rating: str | None, comment: str = "") -> dict[str, Any]:
    await socket.send_json_to({"type": "rate", "run": run, "rating": rating, "comment": comment})
    reply: dict[str, Any] = await socket.receive_json_from(timeout=5)
    return reply


async def _answered(socket: Socket) -> str:
    run = await socket.ask("Hello")
    await socket.until_end()
    return run


async def test_an_answer_is_rated_and_the_rating_changed_and_taken_back(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await _answered(socket)
    await rows(1)
    for rating, comment in (("down", ""), ("down", "  It is wrong.  "), ("up", "Now it is right."), (None, "")):
        said = comment.strip()
        assert await _rate(socket, run, rating, comment) == {
            "type": "rated",
            "run": run,
            "rating": rating,
            "comment": said,
        }
        (row,) = await rows(1)
        assert (row.rating, row.comment, row.rated_at is not None) == (rating or "", said, True)
    await socket.disconnect()


async def test_nobody_else_rates_it_and_it_is_as_unknown_as_none(visitor: uuid.UUID) -> None:
    mine, other = await Socket(visitor).opened(), await Socket(uuid.uuid4()).opened()
    run = await _answered(mine)
    await rows(1)
    refusals = [await _rate(other, each, "down") for each in (run, str(uuid.uuid4()))]
    assert {refusal.pop("run") for refusal in refusals} > {run}
    assert refusals[0] == refusals[1]
    assert refusals[0]["code"] == "unknown_run"
    assert (await rows(1))[0].rating == ""
    for socket in (mine, other):
        await socket.disconnect()


def _rename(old: str, new: str) -> Callable[[], None]:
    def rename() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    return rename


async def test_what_cannot_be_stored_now_is_said_to_be_possible_later(
    visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "PAUSE", 0.1)
    socket = await Socket(visitor).opened()
    await database_sync_to_async(_rename("wbs_chatmessage", "away"))()
    try:
        run = await _answered(socket)
        assert (await _rate(socket, run, "up"))["code"] == "unavailable"
    finally:
        await database_sync_to_async(_rename("away", "wbs_chatmessage"))()
    await rows(1)
    assert (await _rate(socket, run, "up"))["type"] == "rated"
    await socket.disconnect()


async def test_an_answer_that_is_being_written_is_rated_later(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await socket.ask("scene:slow please")
    await socket.send_json_to({"type": "rate", "run": run, "rating": "up"})
    async with asyncio.timeout(5):
        while (frame := await socket.receive_json_from())["type"] == "delta":
            pass
    assert (frame["code"], frame["run"]) == ("unavailable", run)
    await socket.until_end()
    await socket.disconnect()


async def test_a_comment_is_bounded(visitor: uuid.UUID) -> None:
    socket = await Socket(visitor).opened()
    run = await _answered(socket)
    await rows(1)
    assert (await _rate(socket, run, "up", "x" * 1000))["type"] == "rated"
    assert (await _rate(socket, run, "up", "x" * 1001))["code"] == "message_too_long"
    assert (await _rate(socket, run, "up", "a\x00b"))["code"] == "unreadable_characters"
    assert (await _rate(socket, run, "sideways"))["code"] == "invalid_frame"
    await socket.disconnect()


async def test_who_writes_without_end_is_refused(visitor: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_WRITTEN", 3)
    socket = await Socket(visitor).opened()
    run = await _answered(socket)
    await rows(1)
    for _ in range(3):
        assert (await _rate(socket, run, "up"))["type"] == "rated"
    assert (await _rate(socket, run, "up"))["code"] == "too_often"
    await socket.disconnect()


def test_the_admin_lists_ratings_and_filters_by_them() -> None:
    for rating, comment in (("up", ""), ("down", "It is wrong."), ("", "")):
        ChatMessage(
            visitor_id=uuid.uuid4(),
            question=f"question rated {rating or 'not at all'}",
            status=Status.DONE,
            started_at="2026-01-01T00:00Z",
            total_ms=1,
            rating=rating,
            comment=comment,
        ).save()
    client = Client()
    client.force_login(User.objects.create_superuser(f"ada-{uuid.uuid4()}"))
    everything = client.get("/admin/ws_chat/chatmessage/").content.decode()
    assert "It is wrong." in everything
    for query in ("rating__exact=down", "comment__isempty=0", "q=wrong"):
        found = client.get(f"/admin/ws_chat/chatmessage/?{query}").content.decode()
        assert ("question rated down" in found, "question rated up" in found) == (True, False), query
