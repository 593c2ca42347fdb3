"""What is measured: our web server twice, and the floors, each in a process of its own; and the client."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import ws_schedule
from benchmarks.ws_client import Stage
from config.embedded import ports
from config.embedded.probes import answers_http
from config.embedded.processes import Child, Program, until_ready
from config.env import BASE_DIR
from tests.servers import Servers, forget_settings, process_environment

# Questions and tokens are counted, as everywhere, and nothing is refused.
_BUDGET = "1000000/minute 1000000/hour 1000000000 tokens/day"

OURS, STARLETTE, TUNED, STOCK = "ours", "Starlette", "Channels, our Daphne", "Channels, stock Daphne"
CHAINLIT = "Chainlit"
# Its dependencies do not go together with ours.
CHAINLIT_AT = BASE_DIR / ".cache" / "chainlit" / "bin" / "chainlit"


@contextmanager
def servers(counts: Sequence[int]) -> Iterator[None]:
    """Start the servers, set the environment that leads to them and make the tables; all of it is gone at the end."""
    forget_settings()
    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    running = Servers("postgres", "valkey")
    try:
        ws_schedule.write_script(folder / "script.json", counts)
        os.environ |= running.settings
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": "the benchmark's secret key, which is long enough and signs nothing of value",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "LLM_CHAT": "scripted",
            "LLM_SQL": "scripted",
            "LLM_SCRIPTED_ANSWERS": str(folder / "script.json"),
            "LLM_ANSWER_TOKENS": "2000",
            "LLM_BUDGET_ANONYMOUS": _BUDGET,
            "LLM_BUDGET_ADDRESS": _BUDGET,
            # Nobody writes a line for each answer, as the floors do not.
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "WARNING",
        }
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=BASE_DIR, check=True, timeout=120)
        yield
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Server:
    """A web server's processes: one for most, two of ours."""

    name: str
    children: list[Child]
    ports: list[int]

    def processor_seconds(self) -> float:
        """Return what its processes have used."""
        return sum(sum(psutil.Process(child.pid).cpu_times()[:2]) for child in self.children)

    def memory(self) -> int:
        """Return the bytes that its processes have in memory."""
        return sum(psutil.Process(child.pid).memory_info().rss for child in self.children)


def _command(name: str, port: int) -> tuple[str, ...]:
    endpoint = ("-v", "0", "-e", f"tcp:port={port}:interface={ports.HOST}:backlog=1024")
    uvicorn = ("-m", "uvicorn", "--host", ports.HOST, "--port", str(port), "--log-level", "warning", "--no-access-log")
    chainlit = ("run", "benchmarks/ws_chainlit.py", "--headless", "--host", ports.HOST, "--port", str(port))
    commands: dict[str, tuple[str, ...]] = {
        CHAINLIT: chainlit,
        OURS: ("-m", "config.serving", *endpoint, "config.asgi:application"),
        TUNED: ("-m", "config.serving", *endpoint, "benchmarks.ws_peers:channels"),
        STOCK: ("-m", "daphne", *endpoint, "benchmarks.ws_peers:channels"),
        STARLETTE: (*uvicorn, "--loop", "uvloop", "--ws", "websockets-sansio", "benchmarks.ws_peers:starlette"),
    }
    return commands[name]


@asynccontextmanager
async def serving(name: str, processes: int = 1) -> AsyncIterator[Server]:
    """Run a web server."""
    async with AsyncExitStack() as stack:
        server = Server(name, [], [])
        for _ in range(processes):
            port = ports.any_free()
            child = await stack.enter_async_context(_running(name, port, *_command(name, port)))
            server.children.append(child)
            server.ports.append(port)
        yield server


@asynccontextmanager
async def _running(name: str, port: int, *arguments: str) -> AsyncIterator[Child]:
    """Run a Python process of ours; what it wrote last is shown where the body fails."""
    # Chainlit would take our database for its own.
    settings = {"CHAINLIT_APP_ROOT": str(CHAINLIT_AT.parents[1])} if name == CHAINLIT else dict(os.environ)
    program = Program(
        name=name,
        argv=(str(CHAINLIT_AT) if name == CHAINLIT else sys.executable, *arguments),
        cwd=BASE_DIR,
        env=process_environment(settings),
        ready=partial(answers_http, port, "/healthz"),
    )
    child = await Child.start(program, lambda name, line: None)
    try:
        await until_ready(child)
        yield child
    except BaseException:
        for line in child.last_lines:
            print(f"{name}: {line}", file=sys.stderr)
        raise
    finally:
        await child.stop()


class Client:
    """The client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def play(self, server: Server, *, streams: int, ramp: float, count: int, resumes: int = 0) -> "Played":
        """Have a stage played; return what it said and what it cost."""
        from config.visitors import COOKIE, make_cookie

        ours = server.name == OURS
        cookies = [f"{COOKIE}={make_cookie(uuid.uuid4())}" for _ in range(streams)] if ours else []
        stage = Stage(
            ports=server.ports,
            streams=streams,
            ramp=ramp,
            count=count,
            cookies=cookies,
            resumes=resumes,
            chainlit=server.name == CHAINLIT,
        )
        assert self._process.stdin is not None
        before = server.memory()
        self._process.stdin.write(json.dumps(asdict(stage)).encode() + b"\n")
        await self._heard("opened")
        idle = server.memory()
        asking = server.processor_seconds()
        await self._heard("running")
        seconds = server.processor_seconds()
        asked = seconds - asking
        await self._heard("ending")
        seconds, full = server.processor_seconds() - seconds, server.memory()
        result = await self._heard("result")
        frame = seconds / max(result["frames"], 1)
        return Played(
            said=result,
            asking_ms=(asked - result["early"] * frame) * 1000 / streams,
            frame_ms=frame * 1e6,
            idle_kb=(idle - before) / streams / 1024,
            streaming_kb=(full - before) / streams / 1024,
        )

    async def _heard(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(await self._process.stdout.readline() or b'{"event": "gone"}')
        if said["event"] != event:
            raise RuntimeError(f"the client said {said}, not {event!r}")
        return said


@dataclass(frozen=True)
class Played:
    """What the client said, and what it cost the server.

    `frame_ms` is the processor time for 1,000 frames while all streams run; `asking_ms` that of a question: what was
    used while the streams began, less what the words of that time cost. Memory is for each connection: open, and while
    all stream; where the server had more connections before, it says little.
    """

    said: dict[str, Any]
    asking_ms: float
    frame_ms: float
    idle_kb: float
    streaming_kb: float


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """Run the client."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.ws_client"),
        cwd=BASE_DIR,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A result is one line.
        limit=2**28,
    )
    try:
        yield Client(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
