"""Kafka clients: the settings that all share, and a producer that reports each delivery to asyncio.

Clients are made where they are used: one made before a fork never delivers (confluent-kafka-python #351).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any
from uuid import UUID

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from django.conf import settings

from config.observability import tracing

log = structlog.get_logger(__name__)

# Milliseconds after which a message that could not be delivered is given back as failed, and a new producer is made.
DELIVERY_TIMEOUT_MS = 10_000

# Seconds between two looks for reports while messages are under way, and for errors while none is.
_REPORTS_EVERY = 0.001
_ERRORS_EVERY = 0.1
# How long a fetch waits at least where nobody waits for what it brings.
_UNHURRIED_FETCH_MS = 100

Headers = Mapping[str, str | bytes | None]


def connection() -> dict[str, Any]:
    """Return what every client needs: the address, and our log instead of standard error."""
    return {
        "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
        "error_cb": _log_error,
        "log_level": 2,
        "reconnect.backoff.max.ms": 2_000,
    }


def consumer(group: str, on_broker_lost: Callable[[], None] = lambda: None, *, in_no_hurry: bool = False) -> Consumer:
    """Return a consumer that commits nothing by itself, and says while it is polled when no broker is left.

    Where nobody waits for what it does (`in_no_hurry`) it asks a broker less often that does not wake a waiting fetch.
    """

    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            on_broker_lost()
        _log_error(error)

    return Consumer(
        {
            **connection(),
            "error_cb": note,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Cooperative rebalancing with manual commits gave ILLEGAL_GENERATION (librdkafka #3337).
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.KAFKA_SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": settings.KAFKA_SESSION_TIMEOUT_MS // 4,
            "fetch.wait.max.ms": max(settings.KAFKA_FETCH_WAIT_MS, _UNHURRIED_FETCH_MS if in_no_hurry else 0),
            # What librdkafka fetches ahead of what we take; answers may be long.
            "queued.max.messages.kbytes": 16 * 1024,
            # A topic that was made anew is found soon.
            "topic.metadata.refresh.interval.ms": 10_000,
        }
    )


class DeliveryFailed(Exception):
    """The broker did not take a message in time, or refused it. Sending it again can help."""


class Publisher:
    """An idempotent producer whose deliveries can be awaited.

    librdkafka reports deliveries only while it is polled. A task does that, on the event loop: it never waits, and in a
    thread each report would have to wait for the interpreter's lock. Use as an asynchronous context manager.

    A producer that has failed is replaced. librdkafka demands it after a fatal error; and a broker that has lost its
    memory does not know the producer's id, which librdkafka takes for something that will pass.
    """

    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._failed: list[Producer] = []
        self._broken = False
        self._under_way = 0
        self._closing = False
        self._sent = asyncio.Event()

    async def __aenter__(self) -> "Publisher":
        self._loop = asyncio.get_running_loop()
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._closing = True
        for producer in (*self._failed, self._producer):
            if producer is not None:
                await asyncio.to_thread(producer.flush, 5)
                await asyncio.to_thread(producer.close)

    async def send(self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once the broker has stored the message; raises DeliveryFailed."""
        delivered: asyncio.Future[None] = self._loop.create_future()

        def report(error: KafkaError | None, _: Message) -> None:
            self._under_way -= 1
            self._broken = self._broken or error is not None
            if self._closing:
                # In a thread, which flushes what is left.
                self._loop.call_soon_threadsafe(_resolve, delivered, error)
            else:
                _resolve(delivered, error)

        try:
            self._open().produce(topic, value, key, headers=_encoded(headers), on_delivery=report)
        except (BufferError, KafkaException) as error:
            raise DeliveryFailed(f"{topic}: {error}") from error
        self._under_way += 1
        self._sent.set()
        await delivered

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    **connection(),
                    "error_cb": self._note_error,
                    "enable.idempotence": True,
                    # Who is alone waits for nobody; what comes while requests are on their way shares the next one.
                    "linger.ms": 0,
                    "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                    "topic.metadata.refresh.interval.ms": 10_000,
                }
            )
        return self._producer

    def _note_error(self, error: KafkaError) -> None:
        self._broken = self._broken or error.fatal()
        _log_error(error)

    async def _serve(self) -> None:
        """Have deliveries reported, and replace a producer that has failed."""
        while True:
            for failed in self._failed:
                # What it still holds is reported as not delivered.
                failed.purge()
                _poll(failed)
            self._failed = [failed for failed in self._failed if len(failed)]
            # Only what the present producer reports counts.
            self._broken = False
            if (producer := self._producer) is not None and (not _poll(producer) or self._broken):
                self._failed.append(producer)
                self._producer = None
            if self._under_way:
                await asyncio.sleep(_REPORTS_EVERY)
            else:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        self._sent.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_ERRORS_EVERY):
                await self._sent.wait()


def publishing(topic: str, trace_id: UUID) -> AbstractContextManager[None]:
    """Have a span of a question's message being sent meanwhile; `tracing.headers` names it to who reads that."""
    about: dict[str, tracing.Value] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
    }
    return tracing.span(f"publish {topic}", trace_id, kind="producer", attributes=about)


def _poll(producer: Producer) -> bool:
    """Have a producer report its deliveries; returns False where it says that it is beyond repair."""
    try:
        producer.poll(0)
    except KafkaException as error:
        log.warning("a new Kafka producer is needed", error=str(error))
        return False
    return True


def _encoded(headers: Headers) -> list[tuple[str, str | bytes | None]]:
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in headers.items()]


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
