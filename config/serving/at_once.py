"""Our server's extension of ASGI: a WebSocket's frame goes out without a task, where there is room for it.

A `send` is a coroutine, because it may have to wait; who writes for many pages must wait for none of them, and needs a
task for each, whose turn comes later. Where there is room nobody has to wait. Other servers do not have the extension,
so nobody must need it.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

# https://asgi.readthedocs.io/en/latest/extensions.html
_NAME = "triptych.send_at_once"

# Takes the text of a frame and returns whether it was sent; raises what the server raises.
Send: TypeAlias = Callable[[str], bool]


def offer(scope: Any, send: Send) -> None:
    """Give a connection's application the extension."""
    scope.setdefault("extensions", {})[_NAME] = {"send": send}


def offered(scope: Any) -> Send | None:
    """Return the extension, None where the server does not have it."""
    found: Send | None = scope.get("extensions", {}).get(_NAME, {}).get("send")
    return found
