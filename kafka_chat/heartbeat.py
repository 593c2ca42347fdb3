"""A sign of life in a file, for those who watch over workers: these serve nothing that could be asked.

`python -m kafka_chat.heartbeat FILE` says by its exit code whether the sign is fresh. It needs nothing but Python, so a
look costs a few hundredths of a second.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Seconds between two signs, and after which the last one counts as none.
EVERY = 5.0
STALE = 60.0


async def beat(file: Path, is_well: Callable[[], bool]) -> None:
    """Renew the sign as long as the event loop turns and `is_well` says so; take it away when cancelled."""
    try:
        while True:
            if is_well():
                # A disk that is full makes a worker look dead, which an operator should know, but does not end it.
                with suppress(OSError):
                    file.touch()
            await asyncio.sleep(EVERY)
    finally:
        file.unlink(missing_ok=True)


def is_fresh(file: Path) -> bool:
    """Return whether a sign is there and not old."""
    try:
        return time.time() - file.stat().st_mtime < STALE
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_fresh(Path(sys.argv[1])) else f"The worker has given no sign of life for {STALE:.0f} s.")
