"""A proposal outlives the process that made it, and of two processes that approve it one wins."""

import os
import subprocess
import sys

from django.db import connection

from config.env import BASE_DIR
from data_agent import proposals
from data_agent.audit import Person
from data_agent.demo_data import DemoData
from data_agent.models import AuditEvent, State, Step

APPROVE = """
import asyncio, sys, uuid
import django
django.setup()
from data_agent import outcomes, proposals
from data_agent.audit import Person
from data_agent.errors import NotDecidable

async def main():
    person = Person(int(sys.argv[1]), "ada")
    step = uuid.UUID(sys.argv[2])
    sys.stdin.readline()
    try:
        await proposals.approve(person, step, sys.argv[3])
    except NotDecidable as error:
        return f"refused: {error}"
    ran = await outcomes.run(person, step)
    return f"ran: {len(ran.rows)} rows {ran.error}"

print(asyncio.run(main()))
"""


def _start(person: Person, step: Step) -> "subprocess.Popen[str]":
    values = connection.settings_dict
    database = f"postgres://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"
    return subprocess.Popen(
        [sys.executable, "-c", APPROVE, str(person.id), str(step.pk), step.sql_sha256],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": database},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_two_other_processes_approve_and_one_runs_it(analytics: DemoData, person: Person) -> None:
    step = await proposals.propose(person, "agent:countries")
    processes = [_start(person, step), _start(person, step)]
    said = sorted(process.communicate("\n", timeout=60)[0].strip() for process in processes)
    assert said[0].startswith("ran: 1")
    assert said[1].startswith("refused: This query was decided already")
    stored = await Step.objects.aget(pk=step.pk)
    assert stored.state == State.EXECUTED
    assert await AuditEvent.objects.filter(step_id=step.pk, kind="approved").acount() == 1
    assert await AuditEvent.objects.filter(step_id=step.pk, kind="executed").acount() == 1
