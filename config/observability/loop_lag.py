"""How late the event loop is: what keeps it busy keeps everybody waiting whom the process serves."""

import asyncio
from weakref import WeakKeyDictionary

from prometheus_client import Histogram

from config.background import Background
from config.serving import draining

# Seconds between two looks.
EVERY = 0.5

_LAG = Histogram(
    "triptych_event_loop_lag_seconds",
    "How much later than asked for the event loop came back, twice a second.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
_backgrounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Background] = WeakKeyDictionary()


def begin() -> None:
    """Measure the running event loop until `aclose`."""
    draining.before_exit(aclose)
    _background().keep_up("lag", _measure)


async def aclose() -> None:
    """Measure no more."""
    await _background().aclose()


async def _measure() -> None:
    now = asyncio.get_running_loop().time
    while True:
        due = now() + EVERY
        await asyncio.sleep(EVERY)
        _LAG.observe(max(0.0, now() - due))


def _background() -> Background:
    return _backgrounds.setdefault(asyncio.get_running_loop(), Background("event loop"))
