"""A web server in trouble: with a database that is away, and with pages that do not read."""

import asyncio
import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from channels.db import database_sync_to_async
from django.db import connection

from config.visitors import COOKIE, make_cookie
from tests.ws_chat.conftest import rows
from tests.ws_chat.web import Web, web
from ws_chat import protocol
from ws_chat.models import ChatMessage, Status
from ws_chat.register import register

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = "scene:slow please"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def database(django_db_setup: None) -> str:
    return str(connection.settings_dict["NAME"])


def _rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


async def test_a_server_that_stops_while_the_database_is_away_leaves_its_rows_to_one_that_nobody_uses(
    folder: Path, database: str, visitor: uuid.UUID
) -> None:
    with web(folder, database) as server:
        async with server.page(visitor) as done:
            await done.ask("Hello")
            await database_sync_to_async(_rename)("wbs_chatmessage", "away")
            try:
                await done.read()
                async with server.page(uuid.uuid4()) as cut:
                    await cut.ask(SLOW)
                    await cut.read(3)
                    server.process.terminate()
                    await cut.read()
                assert await asyncio.to_thread(server.process.wait, 15) in (0, -15)
                waiting = {str(record.run_id) for record in await register().ended()}
            finally:
                await database_sync_to_async(_rename)("away", "wbs_chatmessage")
    stored = {str(row.run_id) for row in await database_sync_to_async(list)(ChatMessage.objects.all())}
    # The first one may have had its row before the table was away.
    assert stored | waiting == {done.run, cut.run}
    assert cut.run in waiting
    assert "Traceback" not in server.log.read_text()
    # No page is open, nobody asks for anything.
    with web(folder, database):
        found = {str(row.run_id): row for row in await rows(2)}
    assert (found[done.run].status, found[cut.run].status) == (Status.DONE, Status.INTERRUPTED)
    assert found[cut.run].answer == cut.text


@contextmanager
def _deaf(server: Web, visitor: uuid.UUID) -> Iterator[socket.socket]:
    """Yield a WebSocket connection that sends what it is told, and reads nothing after the handshake."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", server.port))
        raw.sendall(
            f"GET /ws/chat/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: http://127.0.0.1:{server.port}\r\n"
            f"Cookie: {COOKIE}={make_cookie(visitor)}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        yield raw


def _frame(message: dict[str, object]) -> bytes:
    """Return a masked text frame of less than 126 bytes; the mask is zero."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


PAGES, RUNS = 15, 13
# Of one answer, which a page that resumes it is sent three times over: as a delta, as text and as HTML.
SIZE = 180_000


async def test_pages_that_never_read_cost_little_memory_are_sent_away_and_may_resume(
    folder: Path, database: str, visitor: uuid.UUID, tmp_path: Path
) -> None:
    script = tmp_path / "answers.json"
    script.write_text(json.dumps([{"contains": "huge", "answer": f"{'x' * 899} " * (SIZE // 900)}]))
    with web(folder, database, LLM_SCRIPTED_ANSWERS=str(script)) as server:
        async with server.page(visitor) as page:
            for _ in range(RUNS):
                await page.ask("huge")
                await page.read()
        found = [str(row.run_id) for row in await rows(RUNS)]
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        with ExitStack() as pages:
            raws = [pages.enter_context(_deaf(server, visitor)) for _ in range(PAGES)]
            for raw in raws:
                for run in found:
                    raw.sendall(_frame({"type": "resume", "run": run, "after": 0}))
            highest = before
            async with asyncio.timeout(60):
                while server.log.read_text().count(f"code={protocol.CLOSE_SLOW}") < PAGES:
                    highest = max(highest, process.memory_info().rss)
                    await asyncio.sleep(0.1)
            # All that they asked for would be 105 MB.
            assert highest - before < PAGES * protocol.MAX_SHOWN * SIZE * 4
        async with server.page(visitor) as page:
            await page.send("resume", run=found[-1], after=0)
            await page.started()
            await page.read()
        assert len(page.text.strip()) >= SIZE - 1000
        assert "Traceback" not in server.log.read_text()
