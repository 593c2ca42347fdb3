"""`manage.py kafka_worker`: see kafka_chat/README.md."""

import asyncio
import gc
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.observability import metrics_port, tracing
from config.serving import ending
from kafka_chat import heartbeat
from kafka_chat.console import Console, watch
from kafka_chat.failures import TooManyDeadLetters
from kafka_chat.outcomes import log_outcome
from kafka_chat.worker import DRAIN_SECONDS, ROLES, Worker
from llm import profile

# Seconds after the time for what is in flight, until the process is gone: a thread may wait for a database that keeps
# silent. Whoever stops us kills after 25 s (`manage.py up`) or 30 s (the compose file).
END_SECONDS = 3.0
# Objects made since the last collection of garbage.
_GARBAGE = 50_000


class Command(BaseCommand):
    """Runs the Kafka chat's worker."""

    help = (
        "Runs the Kafka chat's worker: sends questions to Kafka (relay), answers them (answer), stores the answers "
        "(persist), and sorts the questions (categorise). Prints a line for each question that it is done with."
    )
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Tune the process, which is the worker's own: who calls the command from a process of theirs keeps theirs."""
        # What was made until now is no garbage, and what is made for a question is freed by its references alone.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument(
            "--role",
            action="append",
            choices=ROLES,
            help="what this worker does; may be given several times (default: everything)",
        )
        parser.add_argument(
            "--concurrency",
            type=_positive,
            default=8,
            metavar="N",
            help="questions answered at once by this process (default: 8)",
        )
        parser.add_argument(
            "--drain-seconds",
            type=float,
            default=DRAIN_SECONDS,
            metavar="S",
            help=f"time for what is in flight after SIGTERM (default: {DRAIN_SECONDS:g})",
        )

        parser.add_argument(
            "--metrics-port",
            type=_positive,
            metavar="PORT",
            help="serves this worker's metrics for Prometheus there (default: nowhere)",
        )
        parser.add_argument(
            "--metrics-address",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="of this machine's addresses, the one for that port; nobody who reaches it is asked for a token "
            "(default: 127.0.0.1)",
        )
        parser.add_argument(
            "--heartbeat",
            type=Path,
            metavar="FILE",
            help="renews this file every few seconds while the worker is well; `python -m kafka_chat.heartbeat FILE` "
            "looks at it (default: none)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        roles = list(dict.fromkeys(options["role"] or ROLES))
        _try_to_write(options["heartbeat"])
        tracing.start("triptych-worker", **settings.TRACES_TO)
        console = Console()
        worker = Worker(
            roles,
            concurrency=options["concurrency"],
            drain_seconds=options["drain_seconds"],
            report=log_outcome if settings.ENVIRONMENT.log_format == "json" else console.question,
        )
        try:
            with ExitStack() as stack:
                if options["metrics_port"]:
                    stack.enter_context(metrics_port.served(options["metrics_address"], options["metrics_port"]))
                stack.enter_context(console.keeping_log_lines())
                runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
                runner.run(_work(worker, console, options["heartbeat"], options["drain_seconds"] + END_SECONDS))
        except metrics_port.CannotServe as error:
            raise CommandError(str(error)) from None
        except TooManyDeadLetters as error:
            raise CommandError(f"Stopped: {error}.") from None


async def _work(worker: Worker, console: Console, sign: Path | None, end_seconds: float) -> None:
    profile.keep_up()
    beside = [_end(worker, end_seconds)]
    if console.live:
        beside.append(watch(console, worker))
    if sign is not None:
        beside.append(heartbeat.beat(sign, worker.is_well))
    tasks = [asyncio.create_task(work) for work in beside]
    try:
        await worker.run()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(worker: Worker, seconds: float) -> None:
    await worker.told_to_stop()
    ending.within(seconds)


def _try_to_write(sign: Path | None) -> None:
    try:
        if sign is not None:
            sign.touch()
    except OSError as error:
        raise CommandError(f"The heartbeat cannot be written to {sign}: {error.strerror}.") from None


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number
