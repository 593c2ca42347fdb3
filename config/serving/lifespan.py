"""The ASGI lifespan, by which servers other than ours say that they start and stop.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from typing import Any

from config.serving import draining


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Begin and end the work that belongs to the process."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            draining.start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await draining.drain()
            await send({"type": "lifespan.shutdown.complete"})
            return
