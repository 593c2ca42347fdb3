"""A broker of its own for each test that wants one, or Apache Kafka without topics: they are then nobody else's."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.db import connection, connections
from pytest_django import Settings

from kafka_chat import clients, topics
from kafka_chat.outcomes import Report, log_outcome
from kafka_chat.worker import ROLES, Role, Worker
from llm import runs
from llm.runs import RunLog
from tests.conftest import SETTINGS
from tests.servers import ON_APACHE_KAFKA, Servers, process_environment


@pytest.fixture
def operators_page(look_anew: None) -> Iterator[None]:
    """An operators' page, and its connections closed after it."""
    yield
    connections.close_all()


@pytest.fixture
def broker(settings: Settings) -> Iterator[None]:
    """A broker without topics and groups, which the settings lead to."""
    if ON_APACHE_KAFKA:
        _delete_topics()
        yield
        return
    servers = Servers("kafka")
    settings.KAFKA_BOOTSTRAP_SERVERS = servers.settings["KAFKA_BOOTSTRAP_SERVERS"]
    # Joining a group takes half of it.
    settings.KAFKA_SESSION_TIMEOUT_MS = 1000
    yield
    servers.stop()


@pytest.fixture
async def run_log() -> AsyncIterator[RunLog]:
    """The run log of this test's event loop."""
    yield runs.log()
    await runs.log().aclose()
    # Asynchronous queries have left connections open in their threads.
    await sync_to_async(connections.close_all)()


def _delete_topics() -> None:
    """Delete the topics, and with them what the groups have committed."""
    admin = AdminClient(clients.connection())
    for deleted in admin.delete_topics(list(topics.ALL)).values():
        try:
            deleted.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise


def environment_of_workers() -> dict[str, str]:
    """Return an environment for workers in processes of their own, on this test's database and broker."""
    name = str(connection.settings_dict["NAME"])
    return process_environment(
        SETTINGS
        | {
            "DATABASE_URL": urlsplit(SETTINGS["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
            "KAFKA_BOOTSTRAP_SERVERS": settings.KAFKA_BOOTSTRAP_SERVERS,
            "KAFKA_SESSION_TIMEOUT_MS": str(settings.KAFKA_SESSION_TIMEOUT_MS),
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "a secret key of a test, which signs nothing of value",
            "LLM_CHAT": "scripted",
            "LLM_SQL": "scripted",
        }
    )


@asynccontextmanager
async def working(
    *roles: Role, concurrency: int = 4, drain_seconds: float = 10, report: Report = log_outcome
) -> AsyncIterator[Worker]:
    """Run a worker in this process for a while."""
    worker = Worker(roles or ROLES, concurrency=concurrency, drain_seconds=drain_seconds, report=report)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running
        # Asynchronous queries of the test itself have left a connection open in their thread.
        await sync_to_async(connections.close_all)()
