"""A page of the data agent that loses its connection, comes back, and goes on with what is there."""

import asyncio
import json
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks.load import promises
from benchmarks.load.analysts import PatientAnalyst
from benchmarks.load.mix import KINDS, Mix
from benchmarks.load.tally import Tally
from benchmarks.load.visitors import Crowd
from data_agent import audit
from data_agent.demo_data import DemoData
from data_agent.models import AuditEvent
from tests.ws_chat.web import web


async def test_a_question_has_one_end_though_its_connection_is_cut_while_it_is_worked_on(
    analytics: DemoData, analyst: User, client: Client, tmp_path: Path
) -> None:
    mix = Mix(visitors=1)
    script = tmp_path / "script.json"
    script.write_text(json.dumps(mix.scenes()))
    await sync_to_async(client.force_login)(analyst)
    # What other tests left in the log.
    last = await AuditEvent.objects.order_by("-id").values_list("id", flat=True).afirst() or 0
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    values = connection.settings_dict
    address = f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"
    with web(tmp_path, values["NAME"], LLM_SCRIPTED_ANSWERS=str(script)) as server:
        crowd = Crowd(mix, [server.port], {kind: Tally() for kind in KINDS})
        visitor = PatientAnalyst(crowd, 0, cookie)
        for moments in ([""], ["", "executed"]):
            asking = asyncio.create_task(visitor.ask())
            for moment in moments:
                while not asking.done() and not _shows(visitor, moment):
                    await asyncio.sleep(0.01)
                visitor.cut()
            await asking
        visitor.close()
        assert [asked.step["state"] for asked in visitor.asked] == ["answered", "answered"]
        assert await asyncio.to_thread(promises.of_analyses, visitor.asked, address, last) == []
    assert (await sync_to_async(audit.verify)()).broken_id is None


def _shows(visitor: PatientAnalyst, state: str) -> bool:
    """Whether the last question was sent, and its step is in that state; "" before there is one."""
    return bool(visitor.asked and visitor.asked[-1].sends and visitor.shown.get("state", "") == state)
