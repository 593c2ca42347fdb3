"""The producer, and a broker that loses its memory."""

import asyncio
import json
import os
import signal

import pytest
from pytest_django import Settings

from kafka_chat import clients, topics
from kafka_chat.clients import DeliveryFailed, Publisher
from tests.servers import Servers


async def _send(publisher: Publisher, value: bytes) -> None:
    await publisher.send(topics.QUESTIONS, key=b"k", value=value, headers={})


async def test_a_producer_that_the_broker_has_forgotten_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "DELIVERY_TIMEOUT_MS", 2000)
    broker = Servers("kafka")
    settings.KAFKA_BOOTSTRAP_SERVERS = broker.settings["KAFKA_BOOTSTRAP_SERVERS"]
    await asyncio.to_thread(topics.ensure)
    async with Publisher() as publisher:
        await _send(publisher, b"before")
        # It is started again, at the same address and without its topics.
        (process,) = json.loads((broker.folder / "data" / "up.json").read_text())["processes"]
        os.kill(process["pid"], signal.SIGKILL)
        async with asyncio.timeout(60):
            failures = await asyncio.gather(*(_send(publisher, b"lost") for _ in range(5)), return_exceptions=True)
            assert {type(failure) for failure in failures} <= {DeliveryFailed, type(None)}
            while True:
                try:
                    await _send(publisher, b"after")
                except DeliveryFailed:
                    continue
                break
    broker.stop()
