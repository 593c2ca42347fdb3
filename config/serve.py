"""The web server: Daphne with an end that reaches every application. `python -m config.serve` takes its options."""

import asyncio
from typing import Any

from daphne.cli import CommandLineInterface
from daphne.server import Server
from twisted.internet.defer import Deferred

from config import draining


class OrderlyServer(Server):  # type: ignore[misc]
    """Daphne with an end that cancels every application and waits for all of them.

    Daphne 4.2.3 stumbles over the first connection that has no application, such as the HTTP half of a WebSocket or one
    that a browser opened in advance; then it cancels none, and no run leaves its row. And it waits no longer than for
    the first application that was cancelled.
    """

    def kill_all_applications(self) -> "Deferred[Any]":
        """Cancel the applications, and end what outlives them; Twisted waits for what is returned."""
        running = [
            application
            for details in self.connections.values()
            if (application := details.get("application_instance")) is not None and not application.done()
        ]
        for application in running:
            application.cancel()
        ending = asyncio.gather(*running, draining.drain(), return_exceptions=True)
        return Deferred.fromFuture(ending)


class CommandLine(CommandLineInterface):  # type: ignore[misc]
    """Daphne's command line, with that server."""

    server_class = OrderlyServer


if __name__ == "__main__":
    CommandLine.entrypoint()
