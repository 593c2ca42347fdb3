"""nginx with the configuration of the deployment, of which the addresses alone are other ones."""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config.embedded.ports import any_free
from config.env import BASE_DIR

CONFIGURATION = BASE_DIR / "deploy" / "nginx"
# Debian keeps it where the PATH of ordinary users does not lead.
PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Nginx:
    """A running nginx in front of these ports. Use `nginx`."""

    def __init__(self, folder: Path, ports: Iterable[int]) -> None:
        assert PROGRAM is not None
        self.port = any_free()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log, self._errors = folder / "access.log", folder / "error.log"
        configuration, files = folder / "nginx", folder / "files"
        shutil.copytree(CONFIGURATION, configuration)
        files.mkdir()
        _put(configuration / "nginx.conf", "listen 8080 ", [f"listen 127.0.0.1:{self.port} "])
        # `resolve` is younger than Debian's nginx, and there is no name to resolve.
        server = "    server web:8000 resolve max_fails=1 fail_timeout=5s;\n"
        _put(
            configuration / "upstream.conf",
            server,
            [server.replace("web:8000 resolve", f"127.0.0.1:{port}") for port in ports],
        )
        # Root's nginx works as another account otherwise, which may not write here.
        user = f" user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        with self._log.open("ab") as log, self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [
                    *(PROGRAM, "-e", "stderr", "-p", f"{files}/", "-c", str(configuration / "nginx.conf")),
                    *("-g", f"daemon off;{user}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
            )

    def wait_until_ready(self) -> None:
        """Wait until what is behind it answers."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=10):
                return
            time.sleep(0.05)
        raise AssertionError(f"nginx does not serve:\n{self._errors.read_text()}")

    def requests(self, path: str) -> list[dict[str, Any]]:
        """Return what it has logged of the finished requests for a path."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in lines if line["path"] == path]

    async def logged(self, path: str, count: int) -> list[dict[str, Any]]:
        """Return its lines for a path when there are so many: it writes one after it has sent the answer."""
        async with asyncio.timeout(10):
            while len(lines := self.requests(path)) < count:
                await asyncio.sleep(0.01)
        return lines


@contextmanager
def nginx(folder: Path, ports: Iterable[int]) -> Iterator[Nginx]:
    """Run nginx in front of web servers."""
    running = Nginx(folder, ports)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=20)


def _put(path: Path, address: str, instead: list[str]) -> None:
    text = path.read_text()
    assert text.count(address) == 1
    path.write_text(text.replace(address, "".join(instead)))
