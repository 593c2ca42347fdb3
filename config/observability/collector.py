"""Sends spans to an OpenTelemetry collector: OTLP over HTTP, from a thread of its own and a queue that has an end.

A collector that is away is told of once, and once more when it is back; what was to go to it meanwhile is dropped.

Imported where `tracing` beside it is to send spans, and nowhere else: it needs the packages of the `otel` extra.
"""

import logging
import time
from collections.abc import Sequence
from contextvars import ContextVar

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression, trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.re import parse_env_headers

from config.observability.tracing import Place, Span

log = structlog.get_logger(__name__)

# Spans that wait at most, those of one request, and milliseconds for which they wait for others.
CAPACITY = 4096
_BATCH = 512
_GATHER_MS = 1_000
# Seconds that a request may take with its repetitions, and for which a collector that was found away is left alone.
_PATIENCE = 5.0
PAUSE = 10.0
# Milliseconds in which the end of the process sends what is left.
LAST_MS = 2_000

_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_sent: ContextVar[Place] = ContextVar("sent")


class Collector:
    """Takes spans for a collector; a `config.observability.tracing.Sender`."""

    def __init__(self, service: str, endpoint: str, headers: str) -> None:
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces",
            headers=parse_env_headers(headers, liberal=True),
            timeout=_PATIENCE,
            compression=Compression.Gzip,
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.namespace": "triptych", "service.name": service}),
            shutdown_on_exit=False,
            id_generator=_GivenIds(),
        )
        self._provider.add_span_processor(_Processor(_Patient(exporter)))
        self._tracer = self._provider.get_tracer("triptych")

    def send(self, span: Span) -> None:
        """Put a span into the queue; where that is full, the oldest goes."""
        token = _sent.set(span.place)
        try:
            made = self._tracer.start_span(
                span.name,
                Context() if span.parent is None else set_span_in_context(NonRecordingSpan(_named(span.parent))),
                kind=_KINDS[span.kind],
                attributes=span.attributes,
                links=[] if span.link is None else [Link(_named(span.link))],
                start_time=span.began,
            )
        finally:
            _sent.reset(token)
        if span.failed:
            made.set_status(Status(StatusCode.ERROR))
        made.end(span.ended)

    def close(self) -> None:
        """Send what is left, as far as that succeeds in `LAST_MS`."""
        self._provider.shutdown()


class _GivenIds(IdGenerator):
    """Gives a span the ids that it has already: messages and rows name it by them."""

    def generate_trace_id(self) -> int:
        return _sent.get().trace_id

    def generate_span_id(self) -> int:
        return _sent.get().span_id


class _Processor(BatchSpanProcessor):
    """The library's queue and thread, with an end that does not keep a process from ending."""

    def __init__(self, exporter: SpanExporter) -> None:
        super().__init__(exporter, CAPACITY, _GATHER_MS, _BATCH)

    def shutdown(self) -> None:
        # The library's own waits for half a minute, and takes no other number (opentelemetry-python #4568).
        self._batch_processor.shutdown(timeout_millis=LAST_MS)


class _Patient(SpanExporter):
    """Exports spans, and leaves a collector alone for a while that takes none."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._away_until = 0.0
        self._dropped = 0
        self._reason = ""
        # Its lines, one for each try, are not written: what they say is in ours.
        logging.getLogger(trace_exporter.__name__).addFilter(self._note_reason)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if time.monotonic() < self._away_until:
            self._dropped += len(spans)
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._dropped:
                log.info("the collector takes spans again", dropped=self._dropped)
            self._dropped = 0
        else:
            if not self._dropped:
                log.warning("spans are dropped, the collector takes none", reason=self._reason)
            self._dropped += len(spans)
            self._away_until = time.monotonic() + PAUSE
        self._reason = ""
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        logging.getLogger(trace_exporter.__name__).removeFilter(self._note_reason)

    def _note_reason(self, record: logging.LogRecord) -> bool:
        # The first is the cause, the last only says that it was given up.
        self._reason = self._reason or record.getMessage()
        return False


def _named(place: Place) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=_SAMPLED)
