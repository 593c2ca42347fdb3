"""The web server: Daphne on a faster event loop, with an end that reaches every application.

`python -m config.serving` takes Daphne's options.
"""

import asyncio
import gc
import re
from typing import Any

import uvloop

# Before Daphne is imported, which has Twisted use a loop of this policy.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

from daphne.cli import CommandLineInterface  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402

from config.serving import bodies, draining, ending, short_way  # noqa: E402
from config.serving.backpressure import PatientServer  # noqa: E402

# Connections that wait to be accepted, where the endpoint does not say: a burst overflows Twisted's 50.
_BACKLOG = 1024
# Seconds that applications may take for their ends, and after which the process is gone: a request may wait in a thread
# for a database that keeps silent. Whoever stops us kills after 25 s (`manage.py up`) or 30 s (the compose file).
APPLICATION_SECONDS = 12.0
END_SECONDS = 18.0
# New objects after which the garbage collector looks at these, after how many such looks at those of the looks before,
# and after how many of these at all objects. Python's own numbers have it look all the time. What is made for an answer
# is freed by its references alone, and each look stops the process: 10 ms for 20,000 objects, 300 ms for what a
# thousand connections hold. It is what ended connections leave that the last look is for.
_GARBAGE = (20_000, 2, 90)


class OrderlyServer(PatientServer):
    """Daphne with an end that cancels every application, and waits for all of them as long as that has a limit.

    Daphne 4.2.3 stumbles over the first connection that has no application, such as the HTTP half of a WebSocket or one
    that a browser opened in advance; then it cancels none, and no run leaves its row. And it waits no longer than for
    the first application that was cancelled.
    """

    def __init__(self, application: Any, endpoints: list[str], **options: Any) -> None:
        super().__init__(application, endpoints=[with_backlog(endpoint) for endpoint in endpoints], **options)

    def run(self) -> None:
        """Serve, beside the work that begins with the process."""
        short_way.take()
        bodies.limit()
        loop: Any = reactor
        loop.callLater(0, _begin)
        super().run()

    def kill_all_applications(self) -> "Deferred[Any]":
        """Cancel the applications, and end what outlives them; Twisted waits for what is returned."""
        running = [
            application
            for details in self.connections.values()
            if (application := details.get("application_instance")) is not None and not application.done()
        ]
        for application in running:
            application.cancel()
        ending.within(END_SECONDS)
        ends = asyncio.gather(*running, draining.drain(), return_exceptions=True)
        # Not cancelled once more where it takes longer: what waits in a thread cannot be.
        return Deferred.fromFuture(asyncio.ensure_future(asyncio.wait([ends], timeout=APPLICATION_SECONDS)))


class CommandLine(CommandLineInterface):  # type: ignore[misc]
    """Daphne's command line, with that server."""

    server_class = OrderlyServer


def with_backlog(endpoint: str) -> str:
    """Return a description of an endpoint that says how many connections may wait."""
    if endpoint.startswith(("tcp:", "tcp6:", "ssl:", "unix:")) and not re.search(r":backlog=\d", endpoint):
        return f"{endpoint}:backlog={_BACKLOG}"
    return endpoint


def _begin() -> None:
    """Begin the work that belongs to the process; what was made until now is no garbage, and is not looked at again."""
    draining.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
