"""Daphne with backpressure: who sends faster than the other side reads has to wait, as the ASGI servers on asyncio do.

Daphne 4.2.3 hands everything to Twisted, which keeps it in memory until it is read (daphne #170).
"""

import asyncio
from functools import partial
from typing import Any

from daphne.server import Server

from config.serving import at_once


class _Valve:
    """What Twisted closes when 64 kB wait for a connection, and opens when they are gone, or the connection is.

    It has the methods of Twisted's IPushProducer.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._opened: asyncio.Event | None = None

    def pauseProducing(self) -> None:
        self.is_open = False

    def resumeProducing(self) -> None:
        self.is_open = True
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    def stopProducing(self) -> None:
        self.resumeProducing()

    async def opened(self) -> None:
        while not self.is_open:
            self._opened = self._opened or asyncio.Event()
            await self._opened.wait()


class PatientServer(Server):  # type: ignore[misc]
    """A server whose `send` of a WebSocket's frame waits until there is room for it."""

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """Watch how much waits for the connection."""
        queue = super().create_application(protocol, scope)
        if scope["type"] == "websocket" and protocol in self.connections:
            valve = self.connections[protocol]["valve"] = _Valve()
            # Until the upgrade it was the HTTP half that Twisted told.
            protocol.transport.unregisterProducer()
            protocol.transport.registerProducer(valve, True)
            # The application has not begun yet.
            at_once.offer(scope, partial(_send_at_once, protocol, self.connections[protocol], valve))
        return queue

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Wait for room, send, and wait until it has found some; a close waits for nothing.

        Afterwards, too: the last frame of a connection that is never read would be nobody's concern, and stay there.
        """
        if message["type"] != "websocket.send":
            await super().handle_reply(protocol, message)
            return
        # As there, but for what does not concern frames: this is done for each token.
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        valve = details.get("valve")
        if valve is not None and not valve.is_open:
            await valve.opened()
            if "disconnected" in details:
                return
        protocol.handle_reply(message)
        if valve is not None and not valve.is_open:
            await valve.opened()


def _send_at_once(protocol: Any, details: dict[str, Any], valve: _Valve, text: str) -> bool:
    if not valve.is_open or "disconnected" in details or protocol.state != protocol.STATE_OPEN:
        return False
    protocol.serverSend(text)
    return True
