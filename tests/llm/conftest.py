"""Redis as several processes see it."""

from collections.abc import AsyncIterator, Callable

import pytest
from pytest_django import Settings

from config import redis
from llm import shared_state
from llm.shared_state import Shared


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for Redis as long as the program does, which is not long."""
    monkeypatch.setattr(shared_state, "PATIENCE", 0.2)


@pytest.fixture
async def process(settings: Settings) -> AsyncIterator[Callable[..., Shared]]:
    """Make what another process would have: connections to Redis (or to another address) and a memory of its own."""
    clients: list[redis.Redis] = []

    def make(url: str = "") -> Shared:
        client = redis.connect(url or settings.REDIS_URL)
        clients.append(client)
        return Shared(lambda: client)

    yield make
    for client in clients:
        await client.aclose()
