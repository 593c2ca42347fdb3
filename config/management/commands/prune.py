"""`manage.py prune`: see docs/security.md."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError

from config import pruning
from config.pruning import Plan
from data_agent.checkpoints import CannotRemove
from kafka_chat.console import Bar, table

log = structlog.get_logger(__name__)

_EPILOG = """\
How long each kind is kept is said by RETENTION_CHATS_DAYS, RETENTION_CALLS_DAYS and RETENTION_AGENT_DAYS; 0 keeps it
for ever.

Nothing is deleted before it has been shown: on a terminal you are asked, elsewhere --yes does it. It may run beside
everything else, be interrupted and be run again: rows go in small transactions, nobody waits for them, and a question
that has no answer yet is never touched.

--audit is about the data agent's audit log alone (RETENTION_AUDIT_DAYS). A checkpoint that is signed with AUDIT_KEYS
takes the place of the rows, so that `manage.py verify_audit` goes on from there. It needs the DATABASE_URL of the
table's owner, which the web server and the workers should not have.

What is not here: Kafka deletes what is in its topics by their retention.ms; `manage.py clearsessions` deletes sign-ins
that have expired.

examples:
  manage.py prune --dry-run
  manage.py prune --yes            (each night)
  manage.py prune --audit --yes    (as the owner)
"""


class Command(BaseCommand):
    """Deletes what is older than it need be, after showing how much that is."""

    help = "Deletes chats, analyses and calls of models that are older than the settings say."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the text below the options."""
        parser = super().create_parser(prog_name, subcommand, epilog=_EPILOG, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the options."""
        parser.add_argument("--audit", action="store_true", help="the head of the data agent's audit log, instead")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--dry-run", action="store_true", help="show what would be deleted, and delete nothing")
        how.add_argument("--yes", action="store_true", help="delete it, without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show what is too old, and delete it where that is wanted."""
        plans = pruning.plan([pruning.AUDIT] if options["audit"] else None)
        self.stdout.write(table(("what", "kept", "from before", "rows"), [_line(each) for each in plans]))
        total = sum(each.rows for each in plans)
        if not total:
            self.stdout.write("Nothing is too old.")
        elif options["dry_run"]:
            self.stdout.write("Nothing was deleted: this was a dry run.")
        elif options["yes"] or (sys.stdin.isatty() and _is_wanted(total)):
            self._delete(plans, total)
        else:
            self.stdout.write("Nothing was deleted. Add --yes to do it.")

    def _delete(self, plans: list[Plan], total: int) -> None:
        deleted = 0
        try:
            with Bar(total) as bar:
                for each in plans:
                    for number in pruning.prune(each):
                        deleted += number
                        bar.show(deleted)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. Deleted rows: {deleted}. Run it again for the rest.") from None
        except CannotRemove as error:
            raise CommandError(f"{error} Deleted rows: {deleted}.") from None
        log.info("old rows were deleted", rows=deleted)
        left = f" In use, and left for next time: {total - deleted}." if deleted < total else ""
        self.stdout.write(f"Deleted rows: {deleted}.{left}")


def _line(planned: Plan) -> tuple[object, ...]:
    if planned.before is None:
        return planned.kind.name, "for ever", "", planned.rows
    return planned.kind.name, f"{planned.kind.days} days", f"{planned.before:%Y-%m-%d %H:%M}", planned.rows


def _is_wanted(rows: int) -> bool:
    return input(f"Delete them for good (rows: {rows})? [y/N] ").strip().lower() in ("y", "yes")
