"""A broker of its own for each test that wants one: its topics and groups are then nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from pytest_django import Settings

from kafka_chat.worker import ROLES, Role, Worker
from tests.servers import Servers


@pytest.fixture
def broker(settings: Settings) -> Iterator[Servers]:
    """A fresh Kafka-protocol broker that the settings lead to."""
    servers = Servers("kafka")
    settings.KAFKA_BOOTSTRAP_SERVERS = servers.settings["KAFKA_BOOTSTRAP_SERVERS"]
    # Joining a group takes half of it.
    settings.KAFKA_SESSION_TIMEOUT_MS = 1000
    yield servers
    servers.stop()


@asynccontextmanager
async def working(*roles: Role, concurrency: int = 4, drain_seconds: float = 10) -> AsyncIterator[Worker]:
    """Run a worker in this process for a while."""
    worker = Worker(roles or ROLES, concurrency=concurrency, drain_seconds=drain_seconds)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running
        # Asynchronous queries of the test itself have left a connection open in their thread.
        await sync_to_async(connections.close_all)()
