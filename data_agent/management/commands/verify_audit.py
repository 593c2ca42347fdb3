"""Checks the data agent's audit log."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from data_agent import audit


class Command(BaseCommand):
    """Walk the hash chain; end with status 1 and the first bad row where it is broken."""

    help = (
        "Check that no row of the data agent's audit log was changed or inserted, and none removed but by `prune`: "
        "its checkpoints must be signed with a key in AUDIT_KEYS."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the result."""
        result = audit.verify()
        if result.broken_id is not None:
            raise CommandError(
                f"The audit log is broken at {result.broken} {result.broken_id}: {result.problem}. "
                f"The {result.checked} rows before it are in order."
            )
        removed = f" {result.removed} before them were removed in favour of checkpoints." if result.removed else ""
        self.stdout.write(f"{result.checked} rows are in order.{removed} Last hash: {result.last_hash}")
