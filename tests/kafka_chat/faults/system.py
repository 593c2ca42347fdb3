"""The processes of a run: servers, broker, web and workers, each with a log of its own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Self

from config.embedded import kafka, ports
from config.embedded.probes import answers_http
from config.embedded.processes import Child, Program, until_ready
from config.embedded.state import State
from config.env import BASE_DIR
from tests import apache_kafka
from tests.kafka_chat.faults.plan import Kind, Plan
from tests.servers import Servers, process_environment

Broker = Literal["embedded", "apache"]

# So that a run does not wait long for what a dead process held.
_QUICK = {"KAFKA_LEASE_SECONDS": "5", "KAFKA_UNCLAIMED_SECONDS": "8", "LLM_BREAKER_FAILURES": "100"}


class System:
    """What runs. Use `running`."""

    def __init__(self, plan: Plan, folder: Path, broker: Broker, servers: Servers, state: State) -> None:
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
        plan.write_script(script)
        port = ports.any_free()
        self.url = f"http://{ports.HOST}:{port}"
        self._env = process_environment(
            servers.settings
            | address
            | _QUICK
            | {
                "ENV_FILE": os.devnull,
                "SECRET_KEY": "a secret key of a fault test, which signs nothing of value",
                "LLM_CHAT": "scripted",
                "LLM_SQL": "scripted",
                "LLM_SCRIPTED_ANSWERS": str(script),
                "LLM_BUDGET_ANONYMOUS": "unlimited",
                "LLM_BUDGET_ADDRESS": "unlimited",
                "LOG_FORMAT": "json",
                "PYTHONUNBUFFERED": "1",
                "PYTHONFAULTHANDLER": "1",
            }
        )
        self._programs: dict[Kind, Program] = {
            "broker": program,
            "web": self._python(
                "web", "-m", "config.serve", "-v", "0", "-b", ports.HOST, "-p", str(port), _APPLICATION
            ),
            **{role: self._python(role, *_WORKER, role) for role in ("relay", "answer", "persist")},
        }
        self._numbers = plan.processes | {"broker": 1}

    def _python(self, name: str, *arguments: str) -> Program:
        ready = partial(answers_http, int(self.url.rpartition(":")[2]), "/healthz") if name == "web" else None
        return Program(name=name, argv=(sys.executable, *arguments), cwd=BASE_DIR, env=self._env, ready=ready)

    async def start(self) -> Self:
        """Start everything; return when the site is served."""
        await until_ready(await self._start("broker"))
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "manage.py", "prepare", "--without-demo-data"],
            cwd=BASE_DIR,
            env=self._env,
            check=True,
            capture_output=True,
            timeout=120,
        )
        kinds = [kind for kind, number in self._numbers.items() if kind != "broker" for _ in range(number)]
        children = await asyncio.gather(*(self._start(kind) for kind in kinds))
        await asyncio.gather(*map(until_ready, children))
        return self

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
        await self._start(kind)

    async def stop(self) -> None:
        """End everything; the broker last."""
        children = [child for kind in reversed(list(self._children)) for child in self._children[kind]]
        self._killed |= {child.pid for child in children}
        for child in children:
            child.signal(signal.SIGKILL)
        await asyncio.gather(*(child.ended() for child in children), *self._watches)

    async def _start(self, kind: Kind) -> Child:
        program = self._programs[kind]
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
        await self._start(kind)

    def _log(self, name: str, line: str) -> None:
        with (self._logs / f"{name}.log").open("a") as log:
            log.write(f"{line}\n")

    def bad_lines(self) -> list[str]:
        """Return what the workers have logged that no fault explains."""
        lines = [line for path in sorted(self._logs.glob("*.log")) for line in path.read_text().splitlines()]
        return [line for line in lines if any(sign in line for sign in _SIGNS)]


_APPLICATION = "config.asgi:application"
_WORKER = ("manage.py", "kafka_worker", "--role")
_SIGNS = ('"dead letter"', '"unexpected error"', '"handling failed', "Traceback", "never awaited")


@asynccontextmanager
async def running(plan: Plan, broker: Broker) -> AsyncIterator[System]:
    """Run the system of a plan. Its folder is deleted afterwards, unless the body raises."""
    folder = Path(tempfile.mkdtemp(prefix=f"triptych-faults-{plan.seed}-"))
    (folder / "logs").mkdir()
    servers = await asyncio.to_thread(Servers, "postgres", "valkey")
    try:
        with State(folder / "broker") as state:
            system = System(plan, folder, broker, servers, state)
            try:
                yield await system.start()
            finally:
                async with asyncio.timeout(60):
                    await system.stop()
    finally:
        await asyncio.to_thread(servers.stop)
    shutil.rmtree(folder)
