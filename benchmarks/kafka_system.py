"""What is measured: our web server and workers and the peer's worker, processes of their own on real servers."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from benchmarks.kafka_browser import HELD, Browser
from config.embedded import ports
from config.embedded.probes import answers_http
from config.embedded.processes import Child, Program, until_ready
from config.env import BASE_DIR
from tests.servers import Servers, forget_settings, process_environment

# Milliseconds that the model may take; spread over the period of the plain polling, which would otherwise always meet
# an answer at the same distance.
MODEL_MS = tuple(range(500, 1000, 20))
# Questions that our worker answers at once: enough for the visitors that there are.
CONCURRENCY = 128
AT_ONCE = "This takes 0 ms."
_CATEGORY = '{"category": "other", "language": "en"}'
# Questions are counted, as everywhere, and none is refused.
_BUDGET = "1000000/minute 1000000/hour 1000000000 tokens/day"


def question(milliseconds: int) -> str:
    """Return a question whose answer, one token, takes the model so long."""
    return f"This takes {milliseconds} ms."


@contextmanager
def servers(broker: str) -> Iterator[Path]:
    """Start the servers and set the environment that leads to them; yields a folder, all of it gone at the end."""
    forget_settings()
    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    started: list[Servers] = []
    try:
        names = ("postgres", "valkey") if broker == "apache" else ("postgres", "valkey", "kafka")
        started.append(Servers(*names))
        if broker == "apache":
            started.append(Servers("Apache Kafka", module="tests.apache_kafka"))
        script = folder / "script.json"
        scenes = [{"schema": True, "answer": _CATEGORY}]
        scenes += [{"contains": question(ms), "answer": "Done.", "first_ms": ms} for ms in (0, *MODEL_MS)]
        script.write_text(json.dumps(scenes))
        for one in started:
            os.environ |= one.settings
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "benchmarks.article_settings",
            "SECRET_KEY": "the benchmark's secret key, which is long enough and signs nothing of value",
            "LLM_CHAT": "scripted",
            "LLM_SQL": "scripted",
            "LLM_SCRIPTED_ANSWERS": str(script),
            "LLM_BUDGET_ANONYMOUS": _BUDGET,
            "LLM_BUDGET_ADDRESS": _BUDGET,
            # Nobody writes a line for each question, as the peer does not.
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "WARNING",
        }
        yield folder
    finally:
        for one in started:
            one.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class System:
    """Starts processes, and knows where the site is."""

    port: int = field(default_factory=ports.any_free)
    # Those that run, by name.
    children: dict[str, Child] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self, name: str, *arguments: str, ready: bool = False) -> AsyncIterator[None]:
        """Run a Python process of ours; what it wrote last is shown where the body fails."""
        program = Program(
            name=name,
            argv=(sys.executable, *arguments),
            cwd=BASE_DIR,
            env=process_environment({}) | os.environ,
            ready=partial(answers_http, self.port, "/healthz") if ready else None,
        )
        child = self.children[name] = await Child.start(program, lambda name, line: None)
        try:
            await until_ready(child)
            yield
        except BaseException:
            for line in child.last_lines:
                print(f"{name}: {line}", file=sys.stderr)
            raise
        finally:
            del self.children[name]
            await child.stop()

    @asynccontextmanager
    async def web(self) -> AsyncIterator[None]:
        """Run the web server as `manage.py up` does."""
        endpoint = f"tcp:port={self.port}:interface={ports.HOST}:backlog=1024"
        serve = ("-m", "config.serving", "-v", "0", "-e", endpoint, "config.asgi:application")
        async with self.running("web", *serve, ready=True):
            yield

    @asynccontextmanager
    async def worker(self, *roles: str) -> AsyncIterator[None]:
        """Run one worker of ours with these roles, all of them where none is named."""
        options = [option for role in roles for option in ("--role", role)]
        command = ("manage.py", "kafka_worker", *options, "--concurrency", str(CONCURRENCY), "--drain-seconds", "5")
        async with self.running("worker", *command):
            yield

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[None]:
        """Run the peer's worker."""
        async with self.running("peer", "-m", "benchmarks.article_worker"):
            yield

    @asynccontextmanager
    async def visitors(self, number: int, *, api: str = "/api/chat/") -> AsyncIterator[list[Browser]]:
        """Open the page so many times."""
        browsers = [Browser(ports.HOST, self.port, api=api) for _ in range(number)]
        try:
            # Some at a time: that is not what is measured.
            for start in range(0, number, 10):
                await asyncio.gather(*(browser.open_page() for browser in browsers[start : start + 10]))
            yield browsers
        finally:
            for browser in browsers:
                browser.close()

    async def warm_up(self) -> None:
        """Return once answers come as fast as they will."""
        async with self.visitors(5) as browsers:
            for _ in range(4):
                await asyncio.gather(*(browser.ask(AT_ONCE, HELD) for browser in browsers))


@dataclass
class Load:
    """What a stretch of time cost: shares of one core, and how late the client's event loop was (milliseconds)."""

    seconds: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    lateness: list[float] = field(default_factory=list)

    def milliseconds_per(self, name: str, questions: int) -> float:
        """Return the processor time of a process for each question."""
        return self.shares[name] * self.seconds * 1000 / max(questions, 1)


@asynccontextmanager
async def watching(system: System) -> AsyncIterator[Load]:
    """Watch what the body costs this process and those that run."""
    load = Load()
    watch = asyncio.create_task(_note_lateness(load.lateness))
    began, before = time.perf_counter(), _processor_seconds(system)
    try:
        yield load
    finally:
        load.seconds = time.perf_counter() - began
        after = _processor_seconds(system)
        load.shares = {name: (after[name] - before[name]) / load.seconds for name in after}
        watch.cancel()


def _processor_seconds(system: System) -> dict[str, float]:
    seconds = {"client": time.process_time()}
    for name, child in system.children.items():
        used = psutil.Process(child.pid).cpu_times()
        seconds[name] = used.user + used.system
    return seconds


async def _note_lateness(lateness: list[float]) -> None:
    while True:
        due = time.perf_counter() + 0.01
        await asyncio.sleep(0.01)
        lateness.append((time.perf_counter() - due) * 1000)
