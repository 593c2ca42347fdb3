"""What the state folder remembers, and who may hold it."""

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from config.embedded import ports
from config.embedded.errors import AlreadyRunning, EmbeddedError
from config.embedded.state import State
from tests.servers import still_running


def test_folder_and_files_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with State(folder) as state:
        state.secret("django")
        state.port("web")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = list(folder.iterdir())
        assert {file.name for file in files} == {"up.json", "up.lock", "secrets.json"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_only_one_holds_the_folder(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        state.serves(url="http://127.0.0.1:8000/", settings={})
        with pytest.raises(AlreadyRunning) as error, State(tmp_path):
            pass
        assert str(error.value) == f"Triptych is already running (process {os.getpid()}): http://127.0.0.1:8000/"
    with State(tmp_path):
        pass


def test_passwords_are_made_once(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        first, other = state.secret("postgres"), state.secret("valkey")
    with State(tmp_path) as state:
        assert state.secret("postgres") == first
    assert first != other
    assert len(first) >= 40


def test_port_stays_the_same_while_it_is_free(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        port = state.port("kafka")
    with State(tmp_path) as state:
        assert state.port("kafka") == port
    with socket.create_server((ports.HOST, port)), State(tmp_path) as state:
        assert state.port("kafka") != port


def test_servers_never_share_a_port(tmp_path: Path) -> None:
    with State(tmp_path) as state:
        given = [state.port(f"server {number}") for number in range(50)]
    assert len(set(given)) == 50


def test_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{")
    with pytest.raises(EmbeddedError, match=r"up\.json is damaged\. Delete it"), State(tmp_path):
        pass
    (tmp_path / "up.json").unlink()
    with State(tmp_path):
        pass


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="file/data"), State(tmp_path / "file" / "data"):
        pass


def test_processes_of_a_dead_supervisor_are_stopped_with_their_group(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 100 & wait"], start_new_session=True) as left:
        process = psutil.Process(left.pid)
        while not (family := process.children()):
            assert left.poll() is None
        _record(tmp_path, left.pid, process.create_time())
        with State(tmp_path):
            assert still_running([process, *family], 1) == []


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as stranger:
        _record(tmp_path, stranger.pid, psutil.Process(stranger.pid).create_time() - 3600)
        with State(tmp_path):
            assert stranger.poll() is None
        stranger.kill()


def _record(folder: Path, pid: int, created: float) -> None:
    started = {"name": "left", "pid": pid, "created": created, "stop_signal": int(signal.SIGTERM)}
    (folder / "up.json").write_text(json.dumps({"pid": 1, "processes": [started]}))
