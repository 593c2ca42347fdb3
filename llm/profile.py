"""Keeps this process's copy of what staff set in the admin, and no question has to wait for."""

import threading

import structlog
from django.db import connection

from llm import persona
from llm.models import Profile

log = structlog.get_logger(__name__)

# Seconds after which a change counts in every process.
EVERY = 10.0

_lock = threading.Lock()
_told_to_stop = threading.Event()
_reading: threading.Thread | None = None


def keep_up() -> None:
    """Read it every few seconds until `stop`, where that has not begun: in a thread, whatever loops the process has."""
    global _reading
    with _lock:
        if _reading is None or not _reading.is_alive():
            _told_to_stop.clear()
            # A daemon: the end of the process does not wait for a database that is away.
            _reading = threading.Thread(target=_keep_reading, name="profile", daemon=True)
            _reading.start()


async def stop() -> None:
    """Read it no more."""
    _told_to_stop.set()


def read() -> None:
    """Take what is set now: one read, by primary key. Raises DatabaseError or InterfaceError."""
    persona.take(Profile.current().system_prompt)


def _keep_reading() -> None:
    while not _told_to_stop.is_set():
        try:
            read()
        except Exception as error:
            log.info("the profile was not read, the last one counts", error=type(error).__name__)
        finally:
            connection.close()
        _told_to_stop.wait(EVERY)
