"""A limit for the bodies of requests: what is larger is refused before it is read, and none goes to a file.

Daphne 4.2.3 reads a whole body, into a temporary file where it has 100 kB or does not say how many, before the
application sees anything of it. So the application's own limit, which is lower, keeps no disk from being filled.
"""

import json
from io import BytesIO
from typing import Any

import structlog
from daphne import http_protocol
from twisted.internet import reactor

log = structlog.get_logger(__name__)

# Bytes. Half of it is Django's limit (DATA_UPLOAD_MAX_MEMORY_SIZE), which the pages and the API explain in their ways.
MAX_BODY = 128 * 1024
# Seconds for which what still comes is thrown away. Closed at once, the connection would be reset, and a client that is
# still sending would never read why.
LINGER = 2.0

_ERROR = {
    "code": "request_too_large",
    "message": f"The request has more than {MAX_BODY // 1024} kB. Please send less.",
}
_BODY = json.dumps({"error": _ERROR}).encode()
_HEADERS = (
    "HTTP/1.1 413 Content Too Large",
    "Content-Type: application/json",
    f"Content-Length: {len(_BODY)}",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
)
_RESPONSE = "\r\n".join((*_HEADERS, "", "")).encode() + _BODY


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """Daphne's request, with a body of `MAX_BODY` at most."""

    # Requests are looked up; Daphne's own are the same in Python.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    _closing: Any = None

    def gotLength(self, length: int | None) -> None:
        """Learn how long the body will be; None where its parts say so as they come."""
        self.content = BytesIO()
        if length is not None and length > MAX_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Take a part of the body."""
        if self._closing is None and self.content.tell() + len(data) > MAX_BODY:
            self._refuse()
        if self._closing is None:
            super().handleContentChunk(data)

    def process(self) -> Any:
        """Hand the request to the application; its body is there."""
        if self._closing is None:
            return super().process()
        self.channel.loseConnection()

    def connectionLost(self, reason: Any) -> None:
        """Clean up."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)

    def _refuse(self) -> None:
        log.info("a request was refused, its body is too large")
        # Twisted would ask for the body.
        self.requestHeaders.removeHeader(b"Expect")
        self.channel.transport.write(_RESPONSE)
        loop: Any = reactor
        self._closing = loop.callLater(LINGER, self.channel.loseConnection)


def limit() -> None:
    """Have Daphne make such requests from now on."""
    http_protocol.WebRequest = BoundedRequest
