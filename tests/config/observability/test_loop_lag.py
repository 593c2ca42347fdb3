"""What blocks the event loop is seen from outside."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from config.observability import loop_lag


def _seen(part: str) -> float:
    return REGISTRY.get_sample_value(f"triptych_event_loop_lag_seconds_{part}") or 0.0


async def test_a_loop_that_is_blocked_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "EVERY", 0.01)
    before, looks = _seen("sum"), _seen("count")
    loop_lag.begin()
    await asyncio.sleep(0)
    time.sleep(0.5)
    async with asyncio.timeout(20):
        while _seen("count") == looks:
            await asyncio.sleep(0.01)
    await loop_lag.aclose()
    assert _seen("sum") - before >= 0.4
