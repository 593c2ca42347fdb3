"""Everything that has to be done before the web server and the workers start, in one process."""

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import Tags
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from data_agent import checkpoints

# Beside the files it describes, so that it goes when they go.
_SOURCES_DIGEST = ".sources"


class Command(BaseCommand):
    """`manage.py prepare`."""

    help = (
        "Migrates the database, makes the data agent's read-only role, loads the analytics demo data if there is none, "
        "and collects the static files. What is done already is not done again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--without-demo-data", action="store_true", help="leave the analytics tables as they are")
        parser.add_argument(
            "--without-static-files", action="store_true", help="for images that have them, and cannot be written to"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is not done yet."""
        if not options["without_static_files"]:
            collect_static_files()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            with connection.cursor() as cursor:
                # Who waits for a lock lets everybody else wait behind them: better to fail, and to be started again.
                cursor.execute("SET lock_timeout = '10s'")
                call_command("migrate", interactive=False, verbosity=1)
                cursor.execute("RESET lock_timeout")
        checkpoints.take_back_rights()
        if settings.ANALYTICS_DATABASE_URL:
            self._make_roles()
        self.check(tags=[Tags.database], databases=["default"])
        if not options["without_demo_data"]:
            call_command("load_analytics", if_empty=True)

    def _make_roles(self) -> None:
        try:
            call_command("create_agent_role", stdout=self.stdout)
        except CommandError as error:
            # The chats need no such roles, and until they are right the data agent runs nothing.
            self.stderr.write(f"The data agent runs no query. {error}")


def collect_static_files() -> bool:
    """Collect the static files if one has changed since they were last collected. Return whether one had."""
    found = sorted(
        (name, stat.st_size, stat.st_mtime_ns)
        for finder in get_finders()
        for name, storage in finder.list([])
        for stat in [Path(storage.path(name)).stat()]
    )
    digest = hashlib.sha256(repr(found).encode()).hexdigest()
    mark = Path(settings.STATIC_ROOT) / _SOURCES_DIGEST
    if mark.exists() and mark.read_text() == digest:
        return False
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(digest)
    return True
