"""What the Kafka chat costs: `python -m benchmarks.kafka`, about five minutes; `--quick` for a look, about two.

overhead    from POST to the answer in the client's hands, less the model's time, for held poll, server-sent events,
            adaptive polling (as the page does it where nothing holds its requests) and the article's plain polling
            every 500 ms: each visitor goes through them in an order of chance. The floor is 0: an answer that costs
            nothing but the model.
statements  what PostgreSQL executes for each question, as it counts itself.
web         questions per second through one web process; the peer is the article's synchronous style in it, too.
worker      questions per second of one worker; the peer is the article's synchronous worker.

The worker of the first part has all roles; that of the statements and of the web part has not the role categorise,
except where a table names it. Servers, web server, workers and this client share the machine, so what they took of it
is printed beside the figures. Each table is for itself: only what took turns in the same minutes can be compared.
"""

import argparse
import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import kafka_overhead, kafka_rates, kafka_statements
from benchmarks.kafka_system import System, servers
from config.env import BASE_DIR

_PARTS = ("overhead", "statements", "web", "worker")
_LIMIT = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to measure; times are seconds."""

    # Visitors, time, and the shortest and longest pause before a question: the machine is to be busy, not full.
    overhead: tuple[tuple[int, float, tuple[float, float]], ...]
    counting: float
    web_turn: float
    rounds: int
    # Ours and the peer's.
    web_visitors: tuple[int, int]
    waiting: int
    with_categorise: bool = True


_FULL = Plan(
    overhead=((5, 45, (0.1, 0.5)), (100, 30, (2.0, 5.0))),
    counting=10,
    web_turn=4,
    rounds=3,
    web_visitors=(64, 150),
    waiting=800,
)
_QUICK = Plan(
    overhead=((5, 6, (0.0, 0.1)), (100, 6, (1.0, 3.0))),
    counting=1,
    web_turn=2,
    rounds=1,
    web_visitors=(64, 150),
    waiting=400,
    with_categorise=False,
)


def main() -> None:
    """Start everything, measure, print the tables, stop everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka", description="Measure the Kafka chat.")
    parser.add_argument("--kafka", choices=("embedded", "apache"), default="embedded", help="the broker")
    parser.add_argument("--quick", action="store_true", help="a look, too short for figures")
    parser.add_argument("--only", action="append", choices=_PARTS, help="not all parts; may be repeated")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A table is shown when it is there, also where the output goes to a file.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        with servers(arguments.kafka):
            _prepare()
            plan = _QUICK if arguments.quick else _FULL
            broker = "Apache Kafka" if arguments.kafka == "apache" else "the embedded broker"
            _say_load(f"Kafka chat on {broker}, {os.cpu_count()} cores")
            asyncio.run(_measure(plan, arguments.only or _PARTS))
            _say_load("At the end")
    except KeyboardInterrupt:
        sys.exit("Interrupted; everything is stopped.")


def _prepare() -> None:
    """Migrate the database and make the topics."""
    import django

    prepare = [sys.executable, "manage.py", "prepare", "--without-demo-data"]
    subprocess.run(prepare, cwd=BASE_DIR, check=True, stdout=subprocess.DEVNULL, timeout=120)
    django.setup()
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic
    from django.conf import settings

    from benchmarks import article
    from kafka_chat import clients, topics

    topics.ensure()
    wanted = [NewTopic(name, settings.KAFKA_PARTITIONS, 1) for name in (article.QUESTIONS, article.ANSWERS)]
    admin = AdminClient(clients.connection())
    for created in admin.create_topics(wanted).values():
        created.result(timeout=30)


async def _measure(plan: Plan, parts: Sequence[str]) -> None:
    system = System()
    async with asyncio.timeout(_LIMIT):
        if set(parts) != {"worker"}:
            async with system.web():
                await _measure_web(system, plan, parts)
        # Last: it leaves questions behind that only some of the roles have seen.
        if "worker" in parts:
            await kafka_rates.measure_worker(system, plan.waiting, plan.rounds)


async def _measure_web(system: System, plan: Plan, parts: Sequence[str]) -> None:
    if "overhead" in parts:
        print("Overhead over the model's time, ms\n")
        async with system.worker():
            await system.warm_up()
            for visitors, seconds, think in plan.overhead:
                await kafka_overhead.measure(system, visitors, seconds, think)
    if "statements" in parts:
        await kafka_statements.measure(system, 20, plan.counting, with_categorise=plan.with_categorise)
    if "web" in parts:
        await kafka_rates.measure_web(system, plan.web_turn, plan.rounds, plan.web_visitors)


def _say_load(when: str) -> None:
    one, five, _ = os.getloadavg()
    print(f"{when}; the machine's load average is {one:.1f} (1 minute) and {five:.1f} (5 minutes)\n", flush=True)


if __name__ == "__main__":
    main()
