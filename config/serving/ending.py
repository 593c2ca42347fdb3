"""An end that comes: a process that was told to stop is gone some time later, whatever its threads wait for.

A thread cannot be cancelled, and at its end Python waits for all of them. One that waits for a server which keeps its
connection and says nothing (a frozen one, or a network that swallows what is sent) waits for ever, and whoever stopped
the process would have to kill it.
"""

import os
import threading
import time
from typing import NoReturn

import structlog

log = structlog.get_logger(__name__)


def within(seconds: float) -> None:
    """End this process after so many seconds, if it still runs then, with exit code 1 and nothing cleaned up.

    Nobody's state is lost by that: processes of ours survive SIGKILL.
    """
    threading.Thread(target=_end, args=(seconds,), name="ending", daemon=True).start()


def _end(seconds: float) -> NoReturn:
    time.sleep(seconds)
    waiting = sorted(thread.name for thread in threading.enumerate() if not thread.daemon)
    log.error("ended although threads wait for servers that do not answer", seconds=seconds, threads=waiting)
    os._exit(1)
