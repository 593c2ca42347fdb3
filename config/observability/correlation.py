"""Which request, message and trace a line of the log is about: ids that are bound where they become known.

structlog keeps them in context variables, so that tasks and threads which a request starts say them too. Work that
outlives who started it and serves others as well begins with `forget`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings

# By which a proxy of ours names a request, and by which the answer names it.
HEADER = "X-Request-ID"
_FIELD = HEADER.lower().encode()
# What proxies and clouds make: numbers, UUIDs, base64.
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._+/=-]{8,128}")


def request_id(scope: Any) -> str:
    """Return the name of an ASGI connection: the one that a proxy of ours gave it, otherwise a new one.

    Where no proxy is ours (TRUSTED_PROXIES), the header is a client's own, and says nothing.
    """
    if settings.TRUSTED_PROXIES:
        given = [value for name, value in scope["headers"] if name == _FIELD]
        if len(given) == 1 and _ACCEPTABLE.fullmatch(given[0]):
            return str(given[0].decode())
    return uuid4().hex


def bind(**ids: UUID | str) -> None:
    """Have the lines say these ids from here on, to the end of the request or task."""
    structlog.contextvars.bind_contextvars(**{name: str(value) for name, value in ids.items()})


@contextmanager
def bound(**ids: UUID | str) -> Iterator[None]:
    """Have the lines say these ids meanwhile; tasks that are started meanwhile say them to their end.

    What is bound within ends with it, too: the same task may serve somebody else next.
    """
    before = structlog.contextvars.get_contextvars()
    bind(**ids)
    try:
        yield
    finally:
        forget()
        structlog.contextvars.bind_contextvars(**before)


def forget() -> None:
    """Have the lines of this task say no ids: it works for others than for who started it."""
    structlog.contextvars.clear_contextvars()


def trace_id() -> UUID | None:
    """Return the trace that is bound, None where there is none."""
    bound_now = structlog.contextvars.get_contextvars().get("trace_id")
    return None if bound_now is None else UUID(bound_now)
