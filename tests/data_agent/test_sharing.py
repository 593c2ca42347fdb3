"""Who sees what: shared conversations, verified questions, personal data; all through the socket."""

import json

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User

from data_agent.demo_data import DemoData
from data_agent.models import AuditEvent
from tests.data_agent.test_consumer import COUNTRIES, Socket, approve, ask, next_step, receive, socket, socket_for

__all__ = ["socket"]


async def test_a_conversation_is_shared_read_and_taken_back(socket: Socket, stranger: User) -> None:
    step = await ask(socket, COUNTRIES)
    await approve(socket, step)
    await next_step(socket, "answered")
    await socket.send_json_to({"type": "share", "session": step["session"], "person": "grace"})
    assert (await receive(socket, "shared"))["shared_with"] == ["grace"]
    reader = socket_for(stranger)
    await reader.connect()
    await reader.send_json_to({"type": "open", "session": step["session"]})
    ready = await receive(reader, "ready")
    assert (ready["mine"], ready["owner"], ready["shared_with"]) == (False, "ada", [])
    assert ready["steps"][0]["rows"][0][0] == "United States"
    for frame in (
        {"type": "ask", "text": COUNTRIES, "session": step["session"]},
        {"type": "edit", "step": step["id"], "sql": "SELECT 1"},
        {"type": "skip", "step": step["id"]},
        {"type": "share", "session": step["session"], "person": "eve"},
    ):
        await reader.send_json_to(frame)
        answer = await reader.receive_json_from()
        # What the owner did last may be told late, and then it is shown again.
        while answer["type"] in ("working", "ready"):
            answer = await reader.receive_json_from()
        assert (answer["type"], answer["code"]) == ("error", "not_allowed")
    # Without a session it is one's own that is opened.
    await reader.send_json_to({"type": "open"})
    while (await receive(reader, "ready"))["session"] is not None:
        pass

    await socket.send_json_to({"type": "unshare", "session": step["session"], "person": "grace"})
    assert (await receive(socket, "shared"))["shared_with"] == []
    await reader.send_json_to({"type": "open", "session": step["session"]})
    assert (await reader.receive_json_from())["code"] == "not_found"
    await reader.disconnect()
    logged = await database_sync_to_async(
        lambda: list(AuditEvent.objects.filter(session_id=step["session"]).values_list("kind", flat=True))
    )()
    assert logged[:2] == ["unshared", "shared"]


@pytest.mark.parametrize("name", ["nobody", "ada", "eve"])
async def test_it_can_only_be_shared_with_other_analysts(socket: Socket, name: str) -> None:
    await database_sync_to_async(User.objects.create_user)("eve")
    step = await ask(socket, COUNTRIES)
    await socket.send_json_to({"type": "share", "session": step["session"], "person": name})
    error = await socket.receive_json_from()
    assert (error["code"], name in error["message"]) == ("not_found", True)


async def test_staff_mark_a_question_as_verified_and_it_stands_in_then(analytics: DemoData, staff: User) -> None:
    socket = socket_for(staff)
    await socket.connect()
    await socket.send_json_to({"type": "open"})
    assert (await receive(socket, "ready"))["may_verify"]
    step = await ask(socket, "agent:prose zebras and unicorns")
    await socket.send_json_to({"type": "verify", "step": step["id"]})
    assert (await socket.receive_json_from())["code"] == "not_decidable"
    await approve(socket, step)
    await next_step(socket, "answered")
    await socket.send_json_to({"type": "verify", "step": step["id"]})
    assert (await receive(socket, "step"))["step"]["verified"]
    other = await ask(socket, "agent:delete zebras and unicorns")
    assert (other["source"], other["sql"]) == ("verified", step["sql"])
    await socket.send_json_to({"type": "unverify", "step": step["id"]})
    assert not (await receive(socket, "step"))["step"]["verified"]
    assert (await ask(socket, "agent:delete zebras and unicorns"))["state"] == "blocked"
    await socket.disconnect()


async def test_others_than_staff_verify_nothing(socket: Socket) -> None:
    step = await ask(socket, COUNTRIES)
    await socket.send_json_to({"type": "verify", "step": step["id"]})
    assert (await socket.receive_json_from())["code"] == "not_allowed"


async def test_personal_data_is_masked_without_the_permission(socket: Socket, analytics: DemoData, staff: User) -> None:
    step = await ask(socket, "agent:emails")
    assert step["masked"] == ["analytics_users.email"]
    await approve(socket, step)
    shown = await next_step(socket, "executed")
    assert not shown["personal"]
    assert analytics.users[0].email not in json.dumps(shown)
    trusted = socket_for(staff)
    await trusted.connect()
    step = await ask(trusted, "agent:emails")
    assert step["masked"] == []
    await approve(trusted, step)
    shown = await next_step(trusted, "executed")
    assert shown["personal"]
    assert shown["rows"][0][1] == analytics.users[0].email
    await next_step(trusted, "answered")
    # Whoever the conversation is shared with does not get more than they may see.
    await trusted.send_json_to({"type": "share", "session": step["session"], "person": "ada"})
    await receive(trusted, "shared")
    await next_step(socket, "answered")
    await socket.send_json_to({"type": "open", "session": step["session"]})
    ready = await receive(socket, "ready")
    assert (ready["steps"][0]["withheld"], ready["steps"][0]["rows"]) == (True, [])
    assert analytics.users[0].email not in json.dumps(ready)
    await trusted.disconnect()
