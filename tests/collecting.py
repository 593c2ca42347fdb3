"""A collector of spans: takes OTLP over HTTP, as a real one does, and keeps what it is told."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from config.observability import tracing


class Receiver:
    """What a collector was told. While `may_answer` is not set it keeps silent, and then takes nothing."""

    def __init__(self) -> None:
        self.services: set[str] = set()
        self.headers: dict[str, str] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._requests: list[ExportTraceServiceRequest] = []

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        self._requests.append(ExportTraceServiceRequest.FromString(body))

    @property
    def spans(self) -> list[Span]:
        """All of them, in the order in which they began."""
        resources = [resource for request in self._requests for resource in request.resource_spans]
        for resource in resources:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(told["service.name"])
        found = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    async def after_all(self) -> list[Span]:
        """Have what waits sent, and return the spans."""
        await sync_to_async(tracing.stop)()
        return self.spans


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    """Receive meanwhile; yields the receiver and its address."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            receiver.headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not receiver.may_answer.is_set():
                receiver.may_answer.wait()
                return
            receiver.take(gzip.decompress(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield receiver, f"http://127.0.0.1:{server.server_port}"
    finally:
        tracing.stop()
        receiver.may_answer.set()
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A collector that gets the spans of this process."""
    with receiving() as (made, address):
        tracing.start("triptych-test", address)
        yield made


def trace_of(span: Span) -> UUID:
    """Return the trace as rows name it."""
    return UUID(bytes=span.trace_id)


def told(span: Span) -> dict[str, Any]:
    """Return the attributes of a span."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def tree(spans: list[Span]) -> set[tuple[str, str]]:
    """Return each span's name with that of its parent: empty for a root, and "?" for one that is not among them."""
    names = {b"": ""} | {span.span_id: span.name for span in spans}
    return {(names.get(span.parent_span_id, "?"), span.name) for span in spans}
