"""What has to outlive a start: passwords, ports, and which processes were started.

A folder (`.data/`) with four files of our own, readable by its owner only:

    up.lock        held while an `up` runs (flock(2), so the kernel lets go of it whatever happens)
    up.json        addresses, ports and processes of what runs, or ran last
    up.env         the settings that lead to what runs, for other commands: ENV_FILE=.data/up.env manage.py shell
    secrets.json   passwords and keys, made once
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ValidationError

from config.embedded import ports
from config.embedded.errors import AlreadyRunning, EmbeddedError
from config.embedded.processes import Child

_LEFTOVER_GRACE = 10.0


class StartedProcess(BaseModel):
    """A process that was started. `created` (seconds since 1970) tells it from a later one with the same id."""

    name: str
    pid: int
    created: float
    stop_signal: int


class Record(BaseModel):
    """The content of `up.json`. `pid` is the supervising process, None after an orderly stop."""

    pid: int | None = None
    url: str | None = None
    ports: dict[str, int] = {}
    processes: list[StartedProcess] = []
    settings: dict[str, str] = {}


class State:
    """The folder, held by one process at a time. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock: int | None = None
        self._record = Record()

    def __enter__(self) -> Self:
        """Take the folder. Raises AlreadyRunning, or EmbeddedError where it cannot be used."""
        self._take_lock()
        try:
            self._record = self._read()
            _stop_leftovers(self._record.processes)
            self._record = Record(pid=os.getpid(), ports=self._record.ports)
            self._save()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._record = Record(ports=self._record.ports)
        self._save()
        self._settings_file.unlink(missing_ok=True)
        self._release()

    @property
    def _settings_file(self) -> Path:
        return self.folder / "up.env"

    def port(self, name: str) -> int:
        """Return the port of a server: the one it had last time if it is free, else any free one."""
        known = self._record.ports.get(name)
        taken = {port for other, port in self._record.ports.items() if other != name}
        if known is None or known in taken or not ports.is_free(known):
            known = next(port for port in iter(ports.any_free, None) if port not in taken)
        self._record.ports[name] = known
        self._save()
        return known

    def secret(self, name: str) -> str:
        """Return a password or key of this installation: made once, then always the same."""
        path = self.folder / "secrets.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(48)
            _write_private(path, json.dumps(known, indent=1))
        return known[name]

    def runs(self, children: Iterable[Child]) -> None:
        """Record which children run now."""
        self._record.processes = [started for child in children if (started := _identify(child))]
        self._save()

    def serves(self, *, url: str | None, settings: dict[str, str]) -> None:
        """Record what is offered, and under which addresses."""
        self._record.url = url
        self._record.settings = settings
        self._save()
        _write_private(self._settings_file, "".join(f"{name}={value}\n" for name, value in settings.items()))

    def _take_lock(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            record = self._read()
            raise AlreadyRunning(record.pid, record.url) from None
        except OSError as error:
            self._release()
            raise EmbeddedError(f"The state folder cannot be used ({error}). Choose another with --data.") from None

    def _read(self) -> Record:
        path = self.folder / "up.json"
        try:
            return Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Record()
        except ValidationError:
            raise EmbeddedError(f"{path} is damaged. Delete it and start again; no data is lost.") from None

    def _save(self) -> None:
        _write_private(self.folder / "up.json", self._record.model_dump_json(indent=1))

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _write_private(path: Path, text: str) -> None:
    # Written beside and renamed, so that no reader and no crash ever sees half a file.
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)


def _identify(child: Child) -> StartedProcess | None:
    try:
        created = psutil.Process(child.pid).create_time()
    except psutil.NoSuchProcess:
        return None
    return StartedProcess(
        name=child.program.name, pid=child.pid, created=created, stop_signal=child.program.stop_signal
    )


def _stop_leftovers(processes: list[StartedProcess]) -> None:
    """Stop what a supervisor left behind that was killed, the last started first."""
    found = []
    for started in reversed(processes):
        try:
            process = psutil.Process(started.pid)
            # The system clock, and with it the time of creation, may have been corrected a little in between.
            if abs(process.create_time() - started.created) < 2:
                os.killpg(started.pid, started.stop_signal)
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    _, alive = psutil.wait_procs(found, timeout=_LEFTOVER_GRACE)
    for process in alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_LEFTOVER_GRACE)
