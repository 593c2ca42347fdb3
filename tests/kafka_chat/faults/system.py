"""The processes of a run: servers, broker, web and workers, each with a log of its own."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Self

import psutil

from config.embedded import kafka, ports
from config.embedded.probes import answers_http
from config.embedded.processes import Child, Program, until_ready
from config.embedded.state import State
from config.env import BASE_DIR
from tests import apache_kafka
from tests.servers import Servers, process_environment

Broker = Literal["embedded", "apache"]
# A worker has all roles, those named after a role that one.
Kind = Literal["worker", "answer", "relay", "persist", "web", "broker"]
Server = Literal["postgres", "valkey"]

# So that a run does not wait long for what a dead process held.
QUICK = {"KAFKA_LEASE_SECONDS": "5", "KAFKA_UNCLAIMED_SECONDS": "8", "LLM_BREAKER_FAILURES": "100"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is run: how many processes of each kind beside one broker, and what the scripted provider answers.

    `settings` go before those that every system has; `concurrency` is how many questions a worker answers at once.
    """

    name: str
    processes: Mapping[Kind, int]
    scenes: Sequence[Mapping[str, object]]
    settings: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 8
    demo_data: bool = False


class System:
    """What runs. Use `running`."""

    def __init__(self, shape: Shape, folder: Path, broker: Broker, servers: Servers, state: State) -> None:
        self.folder = folder
        self.database_url = servers.settings["DATABASE_URL"]
        # Processes that ended although nobody had killed them: by themselves, or by a signal such as SIGSEGV.
        self.exits: list[str] = []
        self.crashes: list[str] = []
        self._logs = folder / "logs"
        self._children: defaultdict[Kind, list[Child]] = defaultdict(list)
        self._watches: set[asyncio.Task[None]] = set()
        self._killed: set[int] = set()
        program, address = (apache_kafka if broker == "apache" else kafka).server(state)
        script = folder / "script.json"
        script.write_text(json.dumps(shape.scenes))
        # Those of the web processes; a process that takes the place of another has its port, too.
        self.ports = [ports.any_free() for _ in range(shape.processes.get("web", 0))]
        self.env = process_environment(
            servers.settings
            | address
            | {
                "ENV_FILE": os.devnull,
                "SECRET_KEY": "a secret key of a test's system, which signs nothing of value",
                "LLM_CHAT": "scripted",
                "LLM_SQL": "scripted",
                "LLM_SCRIPTED_ANSWERS": str(script),
                "LLM_BUDGET_ANONYMOUS": "unlimited",
                "LLM_BUDGET_ADDRESS": "unlimited",
                "LOG_FORMAT": "json",
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
            }
            | shape.settings
        )
        self._servers = servers
        self._demo_data = shape.demo_data
        self._programs: dict[Kind, list[Program]] = {"broker": [program]}
        for kind, number in shape.processes.items():
            concurrency = ("--concurrency", str(shape.concurrency)) if kind in ("worker", "answer") else ()
            role = () if kind == "worker" else ("--role", kind)
            self._programs[kind] = (
                [self._web(port) for port in self.ports]
                if kind == "web"
                else [self._python(kind, "manage.py", "kafka_worker", *role, *concurrency)] * number
            )

    @property
    def url(self) -> str:
        """The site, at its first web process."""
        return f"http://{ports.HOST}:{self.ports[0]}"

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that run by name, those of a server together."""
        found: defaultdict[str, list[psutil.Process]] = defaultdict(list)
        for kind, children in self._children.items():
            for number, child in enumerate(children, 1):
                name = kind if len(self._programs[kind]) == 1 else f"{kind} {number}"
                found[name] += _living(child.pid)
        for name, process in _named(self._servers.processes()):
            found[name].append(process)
        return found

    def _web(self, port: int) -> Program:
        endpoint = ("-v", "0", "-e", f"tcp:port={port}:interface={ports.HOST}:backlog=1024")
        return self._python("web", "-m", "config.serving", *endpoint, "config.asgi:application", port=port)

    def _python(self, name: str, *arguments: str, port: int | None = None) -> Program:
        ready = partial(answers_http, port, "/healthz") if port else None
        return Program(
            name=name, argv=(sys.executable, *arguments), cwd=BASE_DIR, env=self.env, ready=ready, ready_timeout=60
        )

    async def start(self) -> Self:
        """Start everything; return when the site is served."""
        await until_ready(await self._start("broker", *self._programs["broker"]))
        await self.complete("manage.py", "prepare", *(() if self._demo_data else ("--without-demo-data",)))
        starts = [
            self._start(kind, program)
            for kind, programs in self._programs.items()
            if kind != "broker"
            for program in programs
        ]
        await asyncio.gather(*map(until_ready, await asyncio.gather(*starts)))
        return self

    async def complete(self, *arguments: str) -> str:
        """Run a Python program of ours on this system to its end; return what it printed."""
        completed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *arguments],
            cwd=BASE_DIR,
            env=self.env,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=180,
        )
        return completed.stdout

    async def kill(self, kind: Kind, pick: float, down: float) -> None:
        """End one of these processes with SIGKILL, and start another in its place some seconds later."""
        children = self._children[kind]
        if not children:
            return
        child = children.pop(int(pick * len(children)))
        self._killed.add(child.pid)
        child.signal(signal.SIGKILL)
        await child.ended()
        await asyncio.sleep(down)
        await self._start(kind, child.program)

    async def stop_server(self, name: Server) -> None:
        """Have a server stop in its own way, without waiting for its clients; it is started again at once."""
        number = signal.SIGINT if name == "postgres" else signal.SIGTERM
        children = _named(self._servers.processes()[0].children())
        _signal_all([process for server, process in children if server == name], number)

    async def freeze(self, name: Server, seconds: float) -> None:
        """Have a server neither answer nor refuse for some time, as if its network were cut."""
        frozen = [process for server, process in _named(self._servers.processes()) if server == name]
        try:
            _signal_all(frozen, signal.SIGSTOP)
            await asyncio.sleep(seconds)
        finally:
            _signal_all(frozen, signal.SIGCONT)

    async def stop(self) -> None:
        """End everything; the broker last."""
        children = [child for kind in reversed(list(self._children)) for child in self._children[kind]]
        self._killed |= {child.pid for child in children}
        for child in children:
            child.signal(signal.SIGKILL)
        await asyncio.gather(*(child.ended() for child in children), *self._watches)

    async def _start(self, kind: Kind, program: Program) -> Child:
        if program.setup is not None:
            await program.setup()
        # Not interrupted in between, which would leave a process that nobody knows of.
        child = await asyncio.shield(self._spawn(kind, program))
        watch = asyncio.create_task(self._watch(kind, child))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return child

    async def _spawn(self, kind: Kind, program: Program) -> Child:
        child = await Child.start(program, self._log)
        self._children[kind].append(child)
        return child

    async def _watch(self, kind: Kind, child: Child) -> None:
        """Start a process again that ended by itself, as a supervisor would, and remember that it did."""
        await child.ended()
        if child.pid in self._killed:
            return
        ended = self.crashes if (child.process.returncode or 0) < 0 else self.exits
        ended.append(f"{kind} {child.how_it_ended()}: {' / '.join(child.last_lines[-3:])}")
        self._children[kind].remove(child)
        await self._start(kind, child.program)

    def _log(self, name: str, line: str) -> None:
        with (self._logs / f"{name}.log").open("a") as log:
            log.write(f"{line}\n")

    def bad_lines(self) -> list[str]:
        """Return what the workers have logged that no fault explains."""
        lines = [line for path in sorted(self._logs.glob("*.log")) for line in path.read_text().splitlines()]
        return [line for line in lines if any(sign in line for sign in _SIGNS)]


# What the processes of servers are called.
_SERVERS: dict[str, Server] = {"postgres": "postgres", "valkey-server": "valkey"}
_SIGNS = ('"dead letter"', '"unexpected error"', '"handling failed', "Traceback", "never awaited")


def _living(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def _named(processes: Sequence[psutil.Process]) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the processes with the names of their servers. A connection of PostgreSQL that has ended had a process."""
    for process in processes:
        try:
            name = process.name()
        except psutil.NoSuchProcess:
            continue
        yield _SERVERS.get(name, "supervisor"), process


def _signal_all(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@asynccontextmanager
async def running(shape: Shape, broker: Broker) -> AsyncIterator[System]:
    """Run a system of this shape. Its folder is deleted afterwards, unless the body raises."""
    folder = Path(tempfile.mkdtemp(prefix=f"triptych-{shape.name}-"))
    (folder / "logs").mkdir()
    servers = await asyncio.to_thread(Servers, "postgres", "valkey")
    try:
        with State(folder / "broker") as state:
            system = System(shape, folder, broker, servers, state)
            try:
                yield await system.start()
            finally:
                async with asyncio.timeout(60):
                    await system.stop()
    finally:
        await asyncio.to_thread(servers.stop)
    shutil.rmtree(folder)
