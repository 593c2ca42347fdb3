"""`manage.py circuits`: which providers are not asked for now, and closing a circuit by hand."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from llm import breaker, registry
from llm.shared_state import Away


class Command(BaseCommand):
    """Shows the circuits of all providers, after closing the one that is named."""

    help = "Show which providers are not asked for now. --close NAME: ask that one again at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the option."""
        parser.add_argument("--close", metavar="PROVIDER", choices=registry.names(), help="Forget this one's failures.")

    def handle(self, *args: Any, close: str | None, **options: Any) -> None:
        """Print one line for each provider."""
        try:
            circuits = asyncio.run(_circuits(close))
        except Away as error:
            raise CommandError("Redis cannot be reached. Without it every provider is asked.") from error
        for name, circuit in circuits.items():
            left = f", probed in {circuit.seconds_left:.0f} s" if circuit.state == "open" else ""
            self.stdout.write(f"{name}: {circuit.state}, failures in a row: {circuit.failures}{left}")


async def _circuits(close: str | None) -> dict[str, breaker.Circuit]:
    shared = breaker.from_settings()
    if close:
        await shared.reset(close)
    return await shared.states(registry.names())
