"""A shorter way for a WebSocket's frames through Daphne: a text frame is written to its socket at once.

Autobahn 26.10 composes log lines for each frame that nobody reads, and Twisted has the event loop watch the socket,
write, and watch it no more, for each write. Whatever is not plain goes their way: what is compressed, binary or large,
and what comes while earlier frames wait for room.
"""

from struct import Struct
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.tcp import Connection

# RFC 6455, 5.2: a final text frame, not masked.
_SMALL, _MIDDLE = Struct("!BB"), Struct("!BBH")
_TEXT = 0x81
_IN_TWO_BYTES = 126


class ShortWay(WebSocketProtocol):  # type: ignore[misc]
    """Daphne's protocol, which takes the shorter way where it may."""

    # Connections are looked up for each frame; Daphne's own are the same in Python.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    # Whether frames may go to the socket as they are: not before it is open, and not through TLS.
    _is_plain = False

    def onOpen(self) -> None:
        """Note that frames may be sent."""
        self._is_plain = isinstance(self.transport, Connection) and not self.transport.TLS
        super().onOpen()

    def handle_reply(self, message: Any) -> None:
        """Do what the application wants."""
        text = message.get("text")
        if text and message["type"] == "websocket.send" and self.state == self.STATE_OPEN:
            self.serverSend(text)
        else:
            super().handle_reply(message)

    def serverSend(self, content: Any, binary: bool = False) -> None:
        """Send a message."""
        is_open = self._is_plain and self.state == self.STATE_OPEN
        if binary or not is_open or self._perMessageCompress is not None or self.send_queue:
            super().serverSend(content, binary)
            return
        payload = content.encode()
        size = len(payload)
        if size < _IN_TWO_BYTES:
            frame = _SMALL.pack(_TEXT, size) + payload
        elif size < 2**16:
            frame = _MIDDLE.pack(_TEXT, _IN_TWO_BYTES, size) + payload
        else:
            super().serverSend(content, binary)
            return
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        transport = self.transport
        # Twisted's own: what waits to be written.
        if (
            transport.connected
            and not transport.disconnecting
            and not transport.dataBuffer
            and not transport._tempDataLen
        ):
            # What Twisted's `writeSomeData` does, but for what only other systems need.
            try:
                written = transport.socket.send(frame)
            except OSError:
                # Without room that is what is raised, too.
                written = 0
            if written == len(frame):
                return
            frame = frame[written:]
        # An error is found once more there, and dealt with.
        transport.write(frame)


def take() -> None:
    """Have Daphne make such protocols from now on."""
    WebSocketFactory.protocol = ShortWay
