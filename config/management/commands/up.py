"""`manage.py up`: the whole system on this machine with one command."""

import asyncio
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.embedded.console import Console
from config.embedded.errors import AlreadyRunning, EmbeddedError
from config.embedded.stack import Stack, demo_link
from config.embedded.state import State
from config.settings import BASE_DIR, ENVIRONMENT


class Command(BaseCommand):
    """Starts everything, and stops it on Ctrl-C or SIGTERM.

    Exit code 0 after an orderly stop, and when it runs already, because then the wish is fulfilled; 1 when something
    cannot be started.
    """

    help = (
        "Starts everything on this machine: PostgreSQL, a Kafka broker, Valkey and a local model (each only if its "
        "address is not set, see .env.example), the web server and a worker. Prepares the database, prints the "
        "site's address and a link that signs in a demo analyst. Ctrl-C stops all of it."
    )
    # Models and databases are the children's business.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--port",
            type=int,
            help="port of the site; default: 8000, or the next free one (fails if this one is taken)",
        )
        parser.add_argument(
            "--data",
            type=Path,
            default=BASE_DIR / ".data",
            help="folder for the data and passwords of the servers; default: .data beside manage.py",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        console = Console()
        state = State(options["data"])
        try:
            with state:
                asyncio.run(Stack(ENVIRONMENT, state, console, options["port"]).run())
        except AlreadyRunning as running:
            console.say(str(running))
            if running.url and (sign_in := demo_link(ENVIRONMENT, state, running.url.rstrip("/"))):
                console.say(f"A fresh link for the demo analyst: {sign_in}")
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
