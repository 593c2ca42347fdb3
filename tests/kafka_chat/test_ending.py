"""A worker that is told to stop while PostgreSQL keeps silent."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from django.db import connection

from config.embedded import stack
from config.env import BASE_DIR
from kafka_chat import worker
from kafka_chat.management.commands import kafka_worker
from tests.kafka_chat.conftest import environment_of_workers
from tests.servers import frozen

pytestmark = pytest.mark.django_db(transaction=True)

_CODE = """
import django
django.setup()
from kafka_chat.management.commands import kafka_worker
kafka_worker.END_SECONDS = 1.0
kafka_worker.Command().run_from_argv(["manage.py", "kafka_worker", "--drain-seconds", "0.5"])
"""


@pytest.fixture
def working(broker: None, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of all roles that is at work."""
    environment = environment_of_workers() | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", _CODE], cwd=BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while b"worker ready" not in (tmp_path / "log").read_bytes() or not _served_by(process.pid):
            assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait(10)


def _served_by(pid: int) -> list[int]:
    """Return the server processes of PostgreSQL that a process is connected to."""
    ports = [end.laddr.port for end in psutil.Process(pid).net_connections("tcp")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE client_port = ANY(%s)", [ports])
        return [pid for (pid,) in cursor.fetchall()]


def test_it_ends_although_postgresql_is_frozen(working: "subprocess.Popen[bytes]") -> None:
    silent = _served_by(working.pid)
    with ExitStack() as silence:
        for pid in (psutil.Process(silent[0]).ppid(), *silent):
            silence.enter_context(frozen(pid))
        # The sweep and the relay ask it meanwhile.
        time.sleep(worker.SWEEP_EVERY)
        working.terminate()
        # Without an end of its own it would be there until PostgreSQL answers.
        assert working.wait(timeout=30) == 1


def test_whoever_stops_it_waits_longer_than_it_takes() -> None:
    assert worker.DRAIN_SECONDS + kafka_worker.END_SECONDS < stack._GRACE
