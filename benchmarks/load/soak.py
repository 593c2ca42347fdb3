"""A long run with trouble: `make soak`, or `python -m benchmarks.load.soak`. Half an hour.

The load's mix at a lower rate. About every 20 s something is killed (a web server, a worker, the broker), stopped and
started (PostgreSQL, Valkey), or cut: a server that neither answers nor refuses for some seconds, or half of the
visitors' sockets. All of it is drawn from a seed, one thing after the other. Visitors do what pages do: ask again with
their key, connect again, resume.

At the end it has to be true what is promised: every accepted question of the Kafka chat has exactly one answer or one
failure, and its own; every run of the WebSocket chat has one row with what was seen; every question of the data
agent ended in an answer or in a failure that was shown, nothing ran that was not approved, or twice, and the log is
whole. The exit code is 1 where something is not true; then the logs are left.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

from benchmarks.load import mix as mixes
from benchmarks.load import promises, trouble
from benchmarks.load.analysts import PatientAnalyst
from benchmarks.load.mix import KINDS, Mix, span
from benchmarks.load.patient import PatientVisitor
from benchmarks.load.tally import Tally, percentiles
from benchmarks.load.visitors import PATIENCE, Crowd
from config.embedded.ports import HOST
from tests.kafka_chat.faults import run as faults
from tests.kafka_chat.faults import verdict
from tests.kafka_chat.faults import visitors as kafka
from tests.kafka_chat.faults.plan import Ask
from tests.kafka_chat.faults.run import PromiseBroken
from tests.kafka_chat.faults.system import QUICK, Broker, Shape, System, running
from tests.servers import forget_settings

# Seconds between two lines of progress.
_LINE = 10.0


class Soak:
    """A run with these options."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.mix = Mix(visitors=options.visitors, think=options.think, words=30, variants=8)
        self.tallies = {kind: Tally() for kind in KINDS}
        self.made: Counter[str] = Counter()

    async def run(self, broker: Broker) -> str:
        """Run, and return the summary. Raises PromiseBroken, and leaves the logs then."""
        shape = Shape(
            name=f"soak-{self.options.seed}",
            processes={"web": 2, "worker": 2},
            scenes=self.mix.scenes(),
            settings=QUICK,
            concurrency=16,
            demo_data=True,
        )
        async with running(shape, broker) as system:
            await asyncio.to_thread(verdict.note_ends, system.database_url)
            cookies = json.loads(await system.complete("-m", "benchmarks.load.accounts", str(self.mix.count("agent"))))
            found = await self._live(system, cookies)
            found += [f"ended by itself: {end}" for end in system.exits]
            if found:
                raise PromiseBroken(
                    "\n  ".join([f"{len(found)} promises broken; logs in {system.folder}", *found[:40]])
                )
        return self._summary(len(system.crashes))

    async def _live(self, system: System, cookies: list[str]) -> list[str]:
        """Let visitors in and make trouble until the time is over; return what is not as promised."""
        crowd = Crowd(self.mix, system.ports, self.tallies)
        everybody = list(enumerate(self.mix.kinds()))
        patient = [PatientVisitor(crowd, number) for number, kind in everybody if kind == "websocket"]
        analysts = [PatientAnalyst(crowd, number, cookies.pop()) for number, kind in everybody if kind == "agent"]
        until = time.monotonic() + self.options.seconds + 2 * PATIENCE
        asking = {
            number: kafka.Visitor(number, f"http://{HOST}:{system.ports[number % 2]}", until)
            for number, kind in everybody
            if kind == "kafka"
        }
        stays = [asyncio.create_task(visitor.stay(0.0)) for visitor in (*patient, *analysts)]
        stays += [asyncio.create_task(each.ask_all(self._asks(number, crowd))) for number, each in asking.items()]

        def cut(pick: float) -> None:
            dice = random.Random(pick)
            for visitor in (*patient, *analysts):
                if dice.random() < 0.5:
                    visitor.cut()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, crowd.leaving.set)
        telling = asyncio.create_task(self._tell(list(asking.values())))
        acts = trouble.draw(self.options.seed, self.options.seconds, self.options.gap)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(trouble.make(acts, system, crowd.thinks, cut, self.made))
                await crowd.thinks(self.options.seconds)
                crowd.leaving.set()
            await asyncio.gather(*stays)
        finally:
            telling.cancel()
            loop.remove_signal_handler(signal.SIGINT)
        return await self._judge(system, patient, analysts, list(asking.values()))

    async def _judge(
        self, system: System, patient: list[PatientVisitor], analysts: list[PatientAnalyst], asking: list[kafka.Visitor]
    ) -> list[str]:
        """Return a line for each promise that was not kept."""
        asked = [one for visitor in asking for one in visitor.asked]
        self._count(asked)
        found = await faults.outbox_problems(system)
        found += await asyncio.to_thread(verdict.problems, asked, system.database_url)
        runs = [one for visitor in patient for one in visitor.asked]
        found += await asyncio.to_thread(promises.of_runs, runs, self.mix, system.database_url)
        analyses = [one for visitor in analysts for one in visitor.asked]
        found += await asyncio.to_thread(promises.of_analyses, analyses, system.database_url)
        try:
            await system.complete("manage.py", "verify_audit")
        except subprocess.CalledProcessError:
            found.append("the audit log of the data agent is not whole")
        return found

    def _asks(self, number: int, crowd: Crowd) -> Iterator[Ask]:
        """Yield what a visitor of the Kafka chat asks, as long as they stay."""
        for index in itertools.count():
            if crowd.leaving.is_set():
                return
            asked = number * self.mix.variants + index % self.mix.variants
            yield Ask(mixes.question(asked), self.mix.answer(asked), self.mix.pause(), waits=True)

    def _count(self, asked: list[kafka.Asked]) -> None:
        tally = self.tallies["kafka"]
        tally.asked, tally.completed = len(asked), sum(bool(one.end) for one in asked)
        tally.total = [one.took * 1000 for one in asked]

    async def _tell(self, asking: list[kafka.Visitor]) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_LINE)
            self._count([one for visitor in asking for one in visitor.asked])
            counts = ", ".join(f"{KINDS[kind]} {tally.completed}/{tally.asked}" for kind, tally in self.tallies.items())
            line = f"{time.monotonic() - began:5.0f} s: {counts}; trouble {self.made.total()} times"
            print(line, file=sys.stderr, flush=True)

    def _summary(self, crashes: int) -> str:
        lines = [f"seed {self.options.seed} on {self.options.kafka}: every promise was kept.", ""]
        lines += ["| | questions | to the end | given up | ms: p50 | p99 |", "|---|--:|--:|--:|--:|--:|"]
        for kind, tally in self.tallies.items():
            times = percentiles(tally.total)
            cells = [
                KINDS[kind],
                tally.asked,
                tally.completed,
                tally.asked - tally.completed,
                times["p50"],
                times["p99"],
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
        reasons = self.tallies["agent"].reasons.most_common()
        lines += ["", *(f"- An analyst saw no answer but this, {number} times: {reason}" for reason, number in reasons)]
        troubles = ", ".join(f"{name} {number}" for name, number in sorted(self.made.items()))
        return "\n".join([*lines, "", f"Times: {troubles}; processes that crashed by themselves: {crashes}."])


def main() -> int:
    """Run, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.soak", description="A long run with trouble.")
    parser.add_argument("--seconds", type=float, default=1800, metavar="S", help="how long they ask (default: 1800)")
    parser.add_argument("--visitors", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--think", type=span, default=(3.0, 9.0), metavar="A,B", help="default: 3,9")
    parser.add_argument("--gap", type=float, default=20, metavar="S", help="seconds between troubles (default: 20)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what the trouble is drawn from (default: 1)")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="the broker")
    options = parser.parse_args()
    forget_settings()
    try:
        print(asyncio.run(Soak(options).run(options.kafka)))
    except PromiseBroken as broken:
        print(broken)
        return 1
    except KeyboardInterrupt:
        print("Interrupted before anybody had asked; everything is stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
