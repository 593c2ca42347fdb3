"""Kafka clients: the settings that all share, and a producer that reports each delivery to asyncio.

Clients are made where they are used: one made before a fork never delivers (confluent-kafka-python #351).
"""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from django.conf import settings

log = structlog.get_logger(__name__)

# Milliseconds after which a message that could not be delivered is given back as failed.
DELIVERY_TIMEOUT_MS = 30_000


def connection() -> dict[str, Any]:
    """Return what every client needs: the address, and our log instead of standard error."""
    return {
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "error_cb": _log_error,
        "log_level": 2,
        "reconnect.backoff.max.ms": 2_000,
    }


def consumer(group: str) -> Consumer:
    """Return a consumer that commits nothing by itself."""
    return Consumer(
        {
            **connection(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Cooperative rebalancing with manual commits gave ILLEGAL_GENERATION (librdkafka #3337).
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.KAFKA_SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": settings.KAFKA_SESSION_TIMEOUT_MS // 4,
            "fetch.wait.max.ms": settings.KAFKA_FETCH_WAIT_MS,
            # A topic that was made anew is found soon.
            "topic.metadata.refresh.interval.ms": 10_000,
        }
    )


class DeliveryFailed(Exception):
    """The broker did not take a message in time, or refused it. Sending it again can help."""


class Publisher:
    """An idempotent producer whose deliveries can be awaited.

    librdkafka reports deliveries only while it is polled, which a thread does. Use as an asynchronous context manager.
    """

    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._fatal = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-publisher", daemon=True)

    async def __aenter__(self) -> "Publisher":
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, 5)
            await asyncio.to_thread(self._producer.close)

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, headers: Mapping[str, str]) -> None:
        """Return once the broker has stored the message; raises DeliveryFailed."""
        delivered: asyncio.Future[None] = self._loop.create_future()

        def report(error: KafkaError | None, _: Message) -> None:
            self._loop.call_soon_threadsafe(_resolve, delivered, error)

        try:
            self._open().produce(
                topic, value, key, headers=[(name, text.encode()) for name, text in headers.items()], on_delivery=report
            )
        except (BufferError, KafkaException) as error:
            raise DeliveryFailed(f"{topic}: {error}") from error
        await delivered

    def _open(self) -> Producer:
        """Return the producer; librdkafka demands a new one after a fatal error."""
        if self._producer is None or self._fatal:
            self._fatal = False
            self._producer = Producer(
                {
                    **connection(),
                    "error_cb": self._note_error,
                    "enable.idempotence": True,
                    "linger.ms": 1,
                    "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                    "topic.metadata.refresh.interval.ms": 10_000,
                }
            )
        return self._producer

    def _note_error(self, error: KafkaError) -> None:
        self._fatal = self._fatal or error.fatal()
        _log_error(error)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            producer = self._producer
            if producer is None:
                self._stopping.wait(0.01)
            else:
                producer.poll(0.1)


def _resolve(delivered: "asyncio.Future[None]", error: KafkaError | None) -> None:
    if delivered.done():
        return
    if error is None:
        delivered.set_result(None)
    else:
        delivered.set_exception(DeliveryFailed(error.str()))


def _log_error(error: KafkaError) -> None:
    """librdkafka reconnects by itself; an operator should know all the same, but once for an outage is enough."""
    if error.code() == KafkaError._ALL_BROKERS_DOWN:
        log.warning("Kafka cannot be reached, trying again", servers=settings.KAFKA_BOOTSTRAP_SERVERS)
    else:
        log.debug("kafka client", error=error.str())
