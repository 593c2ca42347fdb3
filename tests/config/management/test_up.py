"""`manage.py up` starts the whole system, survives crashes, and leaves nothing behind."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.embedded import ports
from config.embedded.stack import WEB_PORT
from config.env import BASE_DIR
from tests.conftest import SETTINGS
from tests.servers import Up, process_environment, still_running, up

# The model is slow to answer and has tests of its own.
SCRIPTED = {
    "LLM_CHAT": "scripted",
    "LLM_SQL": "scripted",
    "LLM_SCRIPTED_ANSWERS": str(BASE_DIR / "tests" / "scripted_answers.json"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Return a system that serves its site."""
    with up(tmp_path_factory.mktemp("running") / "data", SCRIPTED) as system:
        system.wait_for_url()
        yield system


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder for several starts, one after the other."""
    return tmp_path_factory.mktemp("up") / "data"


def test_site_is_served_and_recorded(running: Up) -> None:
    site = running.wait_for_url()
    assert _get(f"{site}/healthz") == 200
    assert _get(f"{site}/readyz") == 200
    processes: Any = running.record["processes"]
    assert {process["name"] for process in processes} == {"postgres", "kafka", "valkey", "worker", "web"}


def test_printed_link_signs_the_demo_analyst_in(running: Up) -> None:
    (link,) = (line.split()[-1] for line in running.output.splitlines() if "/demo/" in line)
    browser = urllib.request.build_opener(_NoRedirect)
    with pytest.raises(urllib.error.HTTPError) as answer:
        browser.open(link, timeout=10)
    answer.value.close()
    assert (answer.value.code, answer.value.headers["Location"]) == (302, "/data-agent/")


def test_every_line_carries_the_name_of_its_process(running: Up) -> None:
    names = {line.partition("|")[0].strip() for line in running.output.splitlines()}
    assert {"up", "postgres", "prepare"} <= names <= {"up", "postgres", "kafka", "valkey", "prepare", "web", "worker"}


def test_first_start_asks_for_no_role_that_does_not_exist_yet(running: Up) -> None:
    running.wait_for_url()
    assert "password authentication failed" not in running.output


def test_second_start_in_the_same_place_says_that_it_runs(running: Up) -> None:
    second = _manage("up", "--data", str(running.folder), **SCRIPTED)
    assert second.returncode == 0
    assert f"already running (process {running.process.pid}): {running.wait_for_url()}" in second.stdout
    assert "/demo/" in second.stdout
    assert running.process.poll() is None


@pytest.mark.parametrize("name", ["web", "worker", "valkey"])
def test_crashed_process_is_reported_and_started_again(running: Up, name: str) -> None:
    crashed = _pid(running, name)
    psutil.Process(crashed).kill()
    deadline = time.monotonic() + 60
    while _pid(running, name) in (None, crashed):
        assert time.monotonic() < deadline, running.output
        time.sleep(0.05)
    assert f"{name} ended by SIGKILL; starting it again in 1 s." in running.output
    site = running.wait_for_url()
    while _get(f"{site}/readyz") != 200:
        assert time.monotonic() < deadline, running.output
        time.sleep(0.2)


def test_second_start_is_quick_and_has_the_same_addresses_and_keys(folder: Path) -> None:
    with up(folder, SCRIPTED) as first:
        first.wait_for_url()
        settings = first.record["settings"]
    began = time.monotonic()
    with up(folder, SCRIPTED) as second:
        second.wait_for_url()
        # The promise is 8 s on an idle machine, which this one is not while it runs tests.
        assert time.monotonic() - began < 30
        assert second.record["settings"] == settings


def test_stopped_up_leaves_nothing_behind(folder: Path) -> None:
    with up(folder, SCRIPTED) as system:
        system.wait_for_url()
        family = system.family()
        assert len(family) >= 6
        assert system.stop() == 0
        assert still_running(family, 2) == []
        assert (system.record["pid"], system.record["url"], system.record["processes"]) == (None, None, [])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has died")
def test_killed_up_leaves_nothing_behind_and_the_next_one_works(folder: Path) -> None:
    with up(folder, SCRIPTED) as system:
        system.wait_for_url()
        family = system.family()
        system.process.kill()
        system.process.wait()
        assert still_running(family, 30) == []
    with up(folder, SCRIPTED) as system:
        assert _get(f"{system.wait_for_url()}/healthz") == 200


def test_signal_during_the_start_stops_everything(tmp_path: Path) -> None:
    system = Up(tmp_path / "data", SCRIPTED)
    while len(family := system.family()) < 3:
        assert system.process.poll() is None, system.output
        time.sleep(0.02)
    assert system.stop() == 0
    assert still_running(family, 2) == []


def test_outside_servers_are_used_and_not_started(tmp_path: Path) -> None:
    outside = {name: value for name, value in SETTINGS.items() if name != "ANALYTICS_DATABASE_URL"}
    with up(tmp_path / "data", SCRIPTED | outside | {"SECRET_KEY": "mine"}) as system:
        assert _get(f"{system.wait_for_url()}/readyz") == 200
        assert system.record["settings"] == {
            "DEMO": "true",
            "DATA_FOLDER": str(tmp_path / "data"),
            "LOG_REQUESTS": "false",
        }
        processes: Any = system.record["processes"]
        assert {process["name"] for process in processes} == {"web", "worker"}


@pytest.mark.local_model
def test_model_file_that_is_none_is_refused_and_the_small_model_is_used(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF and no more")
    with up(tmp_path / "data", {"LLM_LOCAL_MODEL": str(file)}) as system:
        site = system.wait_for_url()
        settings: Any = system.record["settings"]
        with urllib.request.urlopen(f"{site}/about/", timeout=10) as response:
            page = response.read().decode()
    sentence = f"{file} is damaged (GGUF version 1684955424 is not known). The small model is used instead."
    assert sentence in system.output
    assert (settings["LLM_LOCAL_NAME"], settings["LLM_LOCAL_REMARK"]) == ("SmolLM2-135M-Instruct", sentence)
    assert "LLM_LOCAL_SQL_URL" not in settings
    assert "Small local model" in page


def test_taken_default_port_is_replaced() -> None:
    with _taken(WEB_PORT):
        assert ports.next_free(WEB_PORT) > WEB_PORT


def test_taken_port_that_was_asked_for_is_an_error_in_one_line(tmp_path: Path) -> None:
    port = ports.any_free()
    with _taken(port):
        result = _manage("up", "--port", str(port), "--data", str(tmp_path / "data"), **SCRIPTED)
    assert result.returncode == 1
    assert result.stderr.startswith(f"CommandError: Port {port} is taken")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data" / "postgres").exists()


def test_malformed_setting_is_an_error_in_one_line() -> None:
    result = _manage("up", **SCRIPTED, REDIS_URL="127.0.0.1")
    assert result.returncode == 1
    assert result.stderr.startswith("Cannot start: REDIS_URL: ")
    assert result.stderr.count("\n") == 1


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _taken(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ports.HOST, port))
        listener.listen()
    except OSError:
        # Somebody else has it already, which is just as well.
        listener.close()
        return socket.socket()
    return listener


def _pid(system: Up, name: str) -> int | None:
    processes: Any = system.record["processes"]
    return next((process["pid"] for process in processes if process["name"] == name), None)


def _get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def _manage(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=process_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
