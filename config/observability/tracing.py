"""Spans: what was done for a question, from when to when, in whatever process; sent to a collector where one is named.

A trace is a question's: its id is the `trace_id` of the row, of the logs and of the ledger of model calls. A span is
the child of the one around it only where both are of one trace, so that work for many, begun for one, mixes up
nothing. Between processes a span is named as https://www.w3.org/TR/trace-context/ has it, in `traceparent`.

Without a collector no span is made, and nothing imported for it. What visitors write and models answer is in no span.
"""

import atexit
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from config.env import ConfigurationError

HEADER = "traceparent"
# The form of its only version. No id is all zeros, which this does not say: `read` does.
FORM = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
_FORM = re.compile(FORM.strip("^$"))
_LENGTH = 55

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Place:
    """A span as others name it."""

    trace_id: int
    span_id: int

    def __str__(self) -> str:
        # Each trace is kept: 01.
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


@dataclass(slots=True, kw_only=True)
class Span:
    """Something that was done for a question. Moments are in nanoseconds since 1970, on this machine's clock."""

    name: str
    kind: Kind
    place: Place
    parent: Place | None = None
    # A span of somebody else's trace, which led to this one.
    link: Place | None = None
    began: int
    ended: int = 0
    failed: bool = False
    attributes: dict[str, Value] = field(default_factory=dict)


class Sender(Protocol):
    """Takes spans that have ended. Neither blocks nor raises."""

    def send(self, span: Span) -> None:
        """Take one."""
        ...

    def close(self) -> None:
        """Send what is left; takes seconds at most."""
        ...


_sender: Sender | None = None
_here: ContextVar[Span | Place | None] = ContextVar("span", default=None)
_NOTHING: AbstractContextManager[None] = nullcontext()


def start(service: str, endpoint: str, headers: str = "") -> None:
    """Send this process's spans to a collector, until it ends; without an endpoint there are none.

    `endpoint` is the collector's address for OTLP over HTTP, without `/v1/traces`; `headers` are `name=value`, with
    commas between them. Raises ConfigurationError where the packages of the `otel` extra are missing.
    """
    global _sender
    if endpoint:
        try:
            # Only now: it costs memory and time at the start.
            from config.observability.collector import Collector
        except ImportError as error:
            raise ConfigurationError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed: pip install 'triptych[otel]'"
            ) from None
        _sender = Collector(service, endpoint, headers)
        atexit.register(stop)


def stop() -> None:
    """Send what is left, and have no spans any more."""
    global _sender
    atexit.unregister(stop)
    sender, _sender = _sender, None
    if sender is not None:
        sender.close()


def span(
    name: str,
    trace_id: UUID,
    *,
    kind: Kind = "internal",
    link: str | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> AbstractContextManager[None]:
    """Have a span meanwhile. `link` is a `traceparent` from outside; what is malformed is passed over.

    An exception goes into it by the name of its class, without its words.
    """
    begun = begin(name, trace_id, kind=kind, link=link, attributes=attributes)
    return _NOTHING if begun is None else _during(begun)


def begin(
    name: str,
    trace_id: UUID,
    *,
    kind: Kind = "internal",
    link: str | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Span | None:
    """Return a span that begins now, for `end`; None where there are none."""
    if _sender is None:
        return None
    # 0 is no id.
    place = Place(trace_id.int, random.getrandbits(64) or 1)
    return Span(
        name=name,
        kind=kind,
        place=place,
        parent=_parent(trace_id),
        link=read(link),
        began=time.time_ns(),
        attributes=dict(attributes or {}),
    )


def end(span: Span | None, outcome: str = "") -> None:
    """End a span that `begin` has returned."""
    if span is not None and _sender is not None:
        if outcome:
            span.attributes["triptych.outcome"] = outcome
        # A clock may have been set back meanwhile.
        span.ended = span.ended or max(time.time_ns(), span.began)
        _sender.send(span)


def record(
    name: str, trace_id: UUID, *, began: datetime, seconds: float, failed: bool, attributes: Mapping[str, Value]
) -> None:
    """Have had a span: a call to another server, which is over."""
    if (made := begin(name, trace_id, kind="client", attributes=attributes)) is not None:
        made.began = round(began.timestamp() * 1e9)
        made.ended = made.began + round(seconds * 1e9)
        made.failed = failed
        end(made)


def say(outcome: str, *, failed: bool = False) -> None:
    """Say in the present span what came of it."""
    if isinstance(here := _here.get(), Span):
        here.attributes["triptych.outcome"] = outcome
        here.failed = failed


def move(trace_id: UUID) -> None:
    """Have the present span be of another trace: the question turned out to be asked before. It has no children."""
    if isinstance(here := _here.get(), Span):
        here.place = Place(trace_id.int, here.place.span_id)
        say("asked before")


def continued(traceparent: str | bytes | None) -> AbstractContextManager[None]:
    """Have spans meanwhile be children of a span of ours, perhaps of another process."""
    if _sender is None or (place := read(traceparent)) is None:
        return _NOTHING
    return _at(place)


def headers(trace_id: UUID) -> dict[str, str]:
    """Return what a message of this trace says of the present span, for `continued`."""
    if _sender is None or (place := _parent(trace_id)) is None:
        return {}
    return {HEADER: str(place)}


def read(traceparent: str | bytes | None) -> Place | None:
    """Return the span that is named, None where nothing or something else stands there."""
    if traceparent is None or len(traceparent) != _LENGTH:
        return None
    text = traceparent.decode("ascii", "replace") if isinstance(traceparent, bytes) else traceparent
    if not _FORM.fullmatch(text):
        return None
    place = Place(int(text[3:35], 16), int(text[36:52], 16))
    return place if place.trace_id and place.span_id else None


def _parent(trace_id: UUID) -> Place | None:
    here = _here.get()
    place = here.place if isinstance(here, Span) else here
    return place if place is not None and place.trace_id == trace_id.int else None


@contextmanager
def _at(here: Span | Place) -> Iterator[None]:
    token = _here.set(here)
    try:
        yield
    finally:
        _here.reset(token)


@contextmanager
def _during(span: Span) -> Iterator[None]:
    try:
        with _at(span):
            yield
    except BaseException as error:
        span.attributes["error.type"] = type(error).__name__
        # A task that is cancelled has not failed.
        span.failed = isinstance(error, Exception)
        raise
    finally:
        end(span)
