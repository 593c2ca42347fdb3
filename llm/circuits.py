"""Where each provider's circuit stands, as gauges."""

import asyncio

from config import redis
from config.observability.looking import Reading, Readings, look_up
from llm import breaker, registry

_STATE = Reading(
    "triptych_circuit", "1 for the state in which a provider's circuit is, 0 for the others.", ("provider", "state")
)
_STATES: tuple[breaker.State, ...] = ("closed", "open", "half-open")


def _look() -> Readings:
    # On an event loop of its own: whose breaker it is does not matter, they share what they know.
    found = asyncio.run(_circuits())
    return {
        _STATE: [
            ((provider, state), float(circuit.state == state))
            for provider, circuit in found.items()
            for state in _STATES
        ]
    }


async def _circuits() -> dict[str, breaker.Circuit]:
    try:
        return await breaker.from_settings().states(registry.names())
    finally:
        await redis.aclose()


look_up([_STATE], _look)
