"""`manage.py kafka_worker`: see kafka_chat/README.md."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kafka_chat.failures import TooManyDeadLetters
from kafka_chat.worker import DRAIN_SECONDS, ROLES, Worker


class Command(BaseCommand):
    """Runs the Kafka chat's worker."""

    help = "Runs the Kafka chat's worker: sends questions to Kafka, answers them, and stores the answers."
    requires_system_checks = ()

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

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until told to stop."""
        roles = list(dict.fromkeys(options["role"] or ROLES))

        async def work() -> None:
            await Worker(roles, concurrency=options["concurrency"], drain_seconds=options["drain_seconds"]).run()

        try:
            asyncio.run(work())
        except TooManyDeadLetters as error:
            raise CommandError(f"Stopped: {error}.") from None


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number
