"""Real servers for the test session, and processes of ours for single tests."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from config.env import BASE_DIR, Environment

# `make test-kafka` sets this to "apache".
ON_APACHE_KAFKA = os.environ.get("TEST_KAFKA") == "apache"


class Servers:
    """Servers in a temporary folder, in a process of their own that ends when we do, however that is.

    They are the embedded ones of these names, unless another module starts them.
    """

    def __init__(self, *names: str, module: str | None = None) -> None:
        self.names = names
        embedded = ("config.embedded", "--throw-away", *(part for name in names for part in ("--only", name)))
        self.folder = Path(tempfile.mkdtemp(prefix="triptych-tests-"))
        before = time.monotonic()
        with (self.folder / "servers.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", *((module,) if module else embedded)),
                    *("--data", str(self.folder / "data")),
                ],
                cwd=BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for the tests; the servers are stopped after them.
                start_new_session=True,
            )
        # Also when the tests never begin, because a module cannot be imported.
        atexit.register(self.stop)
        self.settings = self._read_settings()
        self.seconds = time.monotonic() - before

    def _read_settings(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The servers did not start:\n{(self.folder / 'servers.log').read_text()}")
        settings: dict[str, str] = json.loads(line)
        return settings

    def processes(self) -> list[psutil.Process]:
        """Return the servers' processes and the one that looks after them."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def stop(self) -> None:
        """Stop the servers and delete what they wrote, if that has not been done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdin.closed:
            return
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def all_servers() -> list[Servers]:
    """Start what the tests run on: the embedded servers, or two of them and Apache Kafka."""
    if ON_APACHE_KAFKA:
        return [Servers("postgres", "valkey"), Servers("Apache Kafka", module="tests.apache_kafka")]
    return [Servers("postgres", "kafka", "valkey")]


def forget_settings() -> None:
    """Remove every setting of ours from the environment, and look at no `.env` file: tests say all they need."""
    for name in Environment.model_fields:
        os.environ.pop(name.upper(), None)
        os.environ.pop(f"{name.upper()}_FILE", None)
    os.environ["ENV_FILE"] = os.devnull


def process_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a process of ours with exactly these settings."""
    ours = {name.upper() for name in Environment.model_fields}
    return {name: value for name, value in os.environ.items() if name not in ours} | dict(settings)


class Up:
    """A running `manage.py up`."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *arguments: str) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--data", str(folder), *arguments],
                cwd=BASE_DIR,
                env=process_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    @property
    def record(self) -> dict[str, object]:
        """What it has recorded in `up.json`."""
        with suppress(FileNotFoundError):
            record: dict[str, object] = json.loads((self.folder / "up.json").read_text())
            return record
        return {}

    def wait_for_url(self, seconds: float = 100) -> str:
        """Wait until the site is served; return its address without a slash at the end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            record = self.record
            if record.get("url") and record["pid"] == self.process.pid:
                return str(record["url"]).rstrip("/")
            time.sleep(0.05)
        raise AssertionError(f"`up` did not come up:\n{self.output}")

    def family(self) -> list[psutil.Process]:
        """Return the process and all its descendants."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def stop(self) -> int:
        """Stop it as `kill` does; return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)


@contextmanager
def up(folder: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[Up]:
    """Run `manage.py up` on a folder with these settings; stop it at the end."""
    running = Up(folder, settings, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Have a process keep silent meanwhile, with its connections open."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def still_running(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end, and return those that have not. One that is dead but not buried has ended."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            return alive
        time.sleep(0.05)
    return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
