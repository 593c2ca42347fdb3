"""Load on the whole system: `make load`, or `python -m benchmarks.load`. Five minutes, 1,000 visitors.

Seven in ten visitors use the WebSocket chat, two the Kafka chat with held polls, one the data agent with a person who
approves at once. Each opens the page, thinks 20 to 60 s (time to read an answer and to write a question), asks, is
answered with 60 words at 20 words a second after 300 ms, and thinks again; all stay to the end. PostgreSQL,
Valkey, the broker, web processes and workers run as they do in the deployment, on this machine, and so do the visitors:
what they take of it is in the report.

Each answer is compared with the script. The exit code is 0 where every question was answered to the letter and no
process ended or logged a fault, 1 otherwise, 130 after Ctrl-C, which gives the report of what there was.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.load import report
from benchmarks.load.mix import KINDS, Mix, span, weights
from benchmarks.load.tally import Tally
from benchmarks.load.visitors import PATIENCE, Analyst, Crowd, KafkaVisitor, Visitor, WebSocketVisitor
from benchmarks.load.watching import Watch
from config.env import BASE_DIR
from tests.kafka_chat.faults.system import Broker, Shape, System, running
from tests.servers import forget_settings

# Questions and tokens are counted, as everywhere, and nothing is refused.
_BUDGET = "1000000/minute 1000000/hour 1000000000 tokens/day"
_FIRST_TOKENS = """
    SELECT extract(epoch FROM first_token_at - created_at) * 1000 FROM kf_chatmessage WHERE first_token_at IS NOT NULL
"""
# Seconds that answers on their way are waited for after Ctrl-C.
_HURRY = 5.0
# Seconds between two lines of progress where there is no terminal.
_LINE = 10.0


class Load:
    """A run with these options."""

    def __init__(self, mix: Mix, options: argparse.Namespace) -> None:
        self.mix, self.options = mix, options
        self.tallies = {kind: Tally() for kind in KINDS}
        self.problems: list[str] = []
        self.interrupted = False

    async def run(self, broker: Broker) -> str:
        """Start the system, let the visitors in, and return the report. Everything is stopped and deleted."""
        async with running(self._shape(), broker) as system:
            cookies = json.loads(await system.complete("-m", "benchmarks.load.accounts", str(self.mix.count("agent"))))
            watch = Watch(system, self.options.seconds)
            watching = asyncio.create_task(watch.run())
            before = time.monotonic()
            try:
                await self._visit(system, cookies)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            self.problems = [f"a process ended by itself: {end}" for end in (*system.exits, *system.crashes)]
            self.problems += [f"in the logs: {line}" for line in system.bad_lines()[:20]]
            head = self._head(broker, time.monotonic() - before)
            at_worker = await asyncio.to_thread(_first_tokens, system.database_url)
            return report.write(self.options.report, head, self.tallies, at_worker, watch.series)

    @property
    def is_clean(self) -> bool:
        """Whether every question was answered to the letter, and at least one was asked."""
        tallies = self.tallies.values()
        whole = all(tally.completed == tally.asked and not tally.lost for tally in tallies)
        return whole and not self.problems and any(tally.asked for tally in tallies)

    def _shape(self) -> Shape:
        return Shape(
            name="load",
            processes={"web": self.options.web, "worker": self.options.workers},
            scenes=self.mix.scenes(),
            settings={
                **dict.fromkeys(("LLM_BUDGET_ANONYMOUS", "LLM_BUDGET_SIGNED_IN", "LLM_BUDGET_ADDRESS"), _BUDGET),
                "LOG_LEVEL": "WARNING",
            },
            concurrency=self.options.concurrency,
            demo_data=True,
        )

    async def _visit(self, system: System, cookies: list[str]) -> None:
        crowd = Crowd(self.mix, system.ports, self.tallies)
        visitors = [_visitor(crowd, number, kind, cookies) for number, kind in enumerate(self.mix.kinds())]
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt, crowd)
        ramp = min(30.0, self.options.seconds / 5)
        stays = [
            asyncio.create_task(visitor.stay(ramp * number / len(visitors))) for number, visitor in enumerate(visitors)
        ]
        telling = asyncio.create_task(self._tell(crowd))
        try:
            await crowd.thinks(self.options.seconds)
            crowd.leaving.set()
            # What was asked is waited for: an answer that comes late is no lost one.
            await asyncio.wait(stays, timeout=_HURRY if self.interrupted else 2 * PATIENCE)
            for stay in stays:
                stay.cancel()
            for end in await asyncio.gather(*stays, return_exceptions=True):
                if isinstance(end, Exception):
                    raise end
        finally:
            telling.cancel()
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self, crowd: Crowd) -> None:
        """Have the report made of what there is; a second Ctrl-C leaves without."""
        self.interrupted = True
        crowd.leaving.set()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def _tell(self, crowd: Crowd) -> None:
        began, live = time.monotonic(), sys.stderr.isatty()
        while True:
            await asyncio.sleep(1.0 if live else _LINE)
            counts = ", ".join(f"{KINDS[kind]} {tally.completed}/{tally.asked}" for kind, tally in self.tallies.items())
            failed = sum(tally.failed for tally in self.tallies.values())
            lost = sum(tally.lost for tally in self.tallies.values())
            line = (
                f"{time.monotonic() - began:4.0f} s, {crowd.present} visitors: {counts}; {failed} failed, {lost} lost"
            )
            print(f"\r{line}\x1b[K" if live else line, end="" if live else "\n", file=sys.stderr, flush=True)

    def _head(self, broker: Broker, seconds: float) -> dict[str, Any]:
        shares = ", ".join(f"{self.mix.count(kind)} {name}" for kind, name in KINDS.items())
        return {
            "visitors": f"{self.mix.visitors} ({shares})",
            "think time": f"{self.mix.think[0]:g} to {self.mix.think[1]:g} s",
            "answers": f"{self.mix.words} words",
            "broker": "Apache Kafka" if broker == "apache" else "embedded",
            "processes": f"{self.options.web} web, {self.options.workers} workers",
            "answers at once in a worker": self.options.concurrency,
            "seconds": round(seconds, 1),
            "interrupted": self.interrupted,
            "cores": os.cpu_count(),
            "load average at the end": round(os.getloadavg()[0], 1),
            "faults": self.problems or "none",
        }


def _first_tokens(database_url: str) -> list[float]:
    """Return the milliseconds to the first token of each question of the Kafka chat, from its row."""
    with psycopg.connect(database_url) as connection:
        return [float(milliseconds) for (milliseconds,) in connection.execute(_FIRST_TOKENS)]


def _visitor(crowd: Crowd, number: int, kind: str, cookies: list[str]) -> Visitor:
    if kind == "agent":
        return Analyst(crowd, number, cookies.pop())
    return KafkaVisitor(crowd, number) if kind == "kafka" else WebSocketVisitor(crowd, number)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks.load", description="A thousand visitors, and what came of it.")
    parser.add_argument("--visitors", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--seconds", type=float, default=300, metavar="S", help="how long they ask (default: 300)")
    parser.add_argument(
        "--mix",
        type=weights,
        default=(70, 20, 10),
        metavar="W,K,A",
        help="shares of WebSocket chat, Kafka chat and data agent (default: 70,20,10)",
    )
    parser.add_argument(
        "--think",
        type=span,
        default=(20.0, 60.0),
        metavar="A,B",
        help="seconds of thought before a question, evenly from A to B (default: 20,60)",
    )
    parser.add_argument("--words", type=int, default=60, metavar="N", help="words of a chat's answer (default: 60)")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="the broker")
    parser.add_argument("--web", type=int, default=2, metavar="N", help="web processes (default: 2)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="workers with all roles (default: 2)")
    parser.add_argument(
        "--concurrency", type=int, default=32, metavar="N", help="questions that a worker answers at once (default: 32)"
    )
    parser.add_argument(
        "--report", type=Path, default=BASE_DIR / ".cache" / "load", metavar="DIR", help="default: .cache/load"
    )
    return parser


def main() -> int:
    """Run, print the report, and return the exit code."""
    options = _parser().parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    forget_settings()
    load = Load(Mix(visitors=options.visitors, weights=options.mix, think=options.think, words=options.words), options)
    try:
        text = asyncio.run(load.run(options.kafka))
    except KeyboardInterrupt:
        print("Interrupted before anybody had asked; everything is stopped.", file=sys.stderr)
        return 130
    print(f"\n{text}\nWritten to {options.report}.")
    return 130 if load.interrupted else 0 if load.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
