"""Fills the analytics tables with demo data."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from data_agent import demo_data, loading


class Command(BaseCommand):
    """Make the demo data and copy it into the three tables."""

    help = "Fill the three analytics tables with made-up, believable data; the same seed gives the same rows."

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("--seed", type=int, default=demo_data.DEFAULT_SEED, help="Another seed, other rows.")
        existing = parser.add_mutually_exclusive_group()
        existing.add_argument("--if-empty", action="store_true", help="Do nothing where there are rows already.")
        existing.add_argument("--replace", action="store_true", help="Delete the rows that are there first.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, or say why not."""
        if not options["replace"] and not loading.is_empty():
            self._refuse(silently=options["if_empty"])
            return
        data = demo_data.generate(options["seed"])
        try:
            loaded = loading.load(data, replace=options["replace"])
        except loading.NotEmpty:
            self._refuse(silently=options["if_empty"])
            return
        self.stdout.write(
            f"Loaded {loaded.users:,} customers, {loaded.products:,} products and {loaded.purchases:,} purchases "
            f"in {loaded.seconds:.1f} s."
        )

    def _refuse(self, *, silently: bool) -> None:
        if not silently:
            raise CommandError("There is analytics data already. Add --replace to delete it and load the demo data.")
        self.stdout.write("There is analytics data already; nothing was loaded.")
