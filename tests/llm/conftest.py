"""Redis as several processes see it."""

import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from pytest_django import Settings

from config import redis
from config.embedded.ports import any_free
from llm import shared_state
from llm.shared_state import Shared
from tests.llm.attentive import fresh, model

__all__ = ["fresh", "model"]


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


@pytest.fixture
def name() -> str:
    """A conversation that nobody else has."""
    return f"test:{uuid.uuid4()}"


@pytest.fixture
async def away() -> AsyncIterator[Shared]:
    """A Redis that nobody can reach."""
    client = redis.connect(f"redis://127.0.0.1:{any_free()}/0")
    yield Shared(lambda: client)
    await client.aclose()
