"""A worker process: any of the roles, side by side, until it is told to stop.

relay       outbox -> chatbot-questions; sweeps questions that nobody holds
answer      chatbot-questions -> model -> chatbot-answers
persist     chatbot-answers -> rows
categorise  chatbot-questions -> model or key words -> rows
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog
from channels.db import database_sync_to_async
from confluent_kafka import KafkaException
from confluent_kafka import Message as KafkaMessage
from django.db import InterfaceError, OperationalError

from config.observability import correlation, loop_lag, tracing
from kafka_chat import outbox, questions, topics
from kafka_chat.answering import Answering
from kafka_chat.categorising import CONCURRENCY as CATEGORISED_AT_ONCE
from kafka_chat.categorising import Categorising
from kafka_chat.claims import Claims
from kafka_chat.clients import DeliveryFailed, Publisher
from kafka_chat.consumption import Consumption
from kafka_chat.failures import DeadLetters, TooManyDeadLetters, ids_of, traceparent_of
from kafka_chat.messages import UnreadableMessage
from kafka_chat.models import ChatMessage
from kafka_chat.outcomes import Report, log_outcome
from kafka_chat.persisting import CONCURRENCY as PERSISTED_AT_ONCE
from kafka_chat.persisting import Persisting
from kafka_chat.results import Results
from llm import conversations, registry, runs

log = structlog.get_logger(__name__)

Role = Literal["relay", "answer", "persist", "categorise"]
ROLES: tuple[Role, ...] = ("relay", "answer", "persist", "categorise")

# Seconds that what is in flight may take after a stop; container platforms kill after 30.
DRAIN_SECONDS = 20.0
SWEEP_EVERY = 5.0
_LONGEST_WAIT = 10.0


class Handling(Protocol):
    """What a consuming role is made of."""

    group: str
    topic: str

    async def handle(self, message: KafkaMessage) -> None:
        """Handle one message."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What a consuming role is busy with."""

    role: Role
    group: str
    topic: str
    consumption: Consumption


class Worker:
    """Runs roles; `concurrency` questions are answered at once."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        concurrency: int,
        drain_seconds: float = DRAIN_SECONDS,
        report: Report = log_outcome,
    ) -> None:
        # What the consuming roles are busy with, once they have begun.
        self.loads: list[Load] = []
        self._report = report
        self._roles = roles
        self._concurrency = concurrency
        self._drain_seconds = drain_seconds
        self._claims, self._results = Claims(), Results()
        self._stopping = asyncio.Event()
        self._fault: TooManyDeadLetters | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain.

        Raises TooManyDeadLetters where the worker stopped itself.
        """
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self.stop)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(registry.aclose)
            stack.push_async_callback(conversations.aclose)
            stack.push_async_callback(runs.log().aclose)
            stack.push_async_callback(loop_lag.aclose)
            loop_lag.begin()
            await self._wait_for_broker()
            if self._stopping.is_set():
                return
            stack.push_async_callback(self._claims.aclose)
            stack.push_async_callback(self._results.aclose)
            publisher = await stack.enter_async_context(Publisher())
            log.info("worker ready", roles=list(self._roles), concurrency=self._concurrency)
            async with asyncio.TaskGroup() as group:
                for role in self._roles:
                    for work in self._work_of(role, publisher):
                        group.create_task(work)
        log.info("worker stopped")
        if self._fault is not None:
            raise self._fault

    def is_well(self) -> bool:
        """Return whether all its consumers poll; who waits for a server to come back is well, too."""
        return all(load.consumption.is_polling for load in self.loads)

    def stop(self) -> None:
        """Ask for an orderly end; only sets a flag."""
        self._stopping.set()

    async def told_to_stop(self) -> None:
        """Return when somebody has asked for an end."""
        await self._stopping.wait()

    def _work_of(self, role: Role, publisher: Publisher) -> list[Coroutine[Any, Any, None]]:
        if role == "relay":
            return [outbox.Relay(publisher, self._stopping).run(), self._sweep()]
        handling = self._handling(role, publisher)
        consumption = Consumption(
            group=handling.group,
            topic=handling.topic,
            handle=self._guarded(handling.handle, DeadLetters(publisher)),
            concurrency={"persist": PERSISTED_AT_ONCE, "categorise": CATEGORISED_AT_ONCE}.get(role, self._concurrency),
            drain_seconds=self._drain_seconds,
            in_no_hurry=role == "categorise",
        )
        self.loads.append(Load(role, handling.group, handling.topic, consumption))
        return [consumption.run(self._stopping)]

    def _handling(self, role: Role, publisher: Publisher) -> Handling:
        if role == "answer":
            return Answering(publisher, self._claims, self._report)
        return Persisting(self._results) if role == "persist" else Categorising(self._stopping)

    def _guarded(
        self, handle: Callable[[KafkaMessage], Awaitable[None]], dead_letters: DeadLetters
    ) -> Callable[[KafkaMessage], Awaitable[None]]:
        """Wrap a handler: outages are waited for, poison and our own mistakes go to the dead letters."""

        async def guarded(message: KafkaMessage) -> None:
            with correlation.bound(**ids_of(message)), tracing.continued(traceparent_of(message)):
                await insist(message)

        async def insist(message: KafkaMessage) -> None:
            wait = 0.5
            while True:
                try:
                    await handle(message)
                except (OperationalError, InterfaceError, DeliveryFailed, KafkaException) as error:
                    log.warning("a server is away, trying again", error=type(error).__name__, wait_seconds=wait)
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, _LONGEST_WAIT)
                except (UnreadableMessage, ChatMessage.DoesNotExist) as error:
                    return await self._bury(message, error, dead_letters)
                except Exception as error:
                    log.exception("unexpected error", topic=message.topic(), offset=message.offset())
                    return await self._bury(message, error, dead_letters)
                else:
                    return dead_letters.reset()

        return guarded

    async def _bury(self, message: KafkaMessage, error: Exception, dead_letters: DeadLetters) -> None:
        try:
            await dead_letters.bury(message, error)
        except TooManyDeadLetters as reason:
            log.critical("stopping: look at the dead letters and at the newest change", reason=str(reason))
            self._fault = reason
            self.stop()
            raise

    async def _sweep(self) -> None:
        while not self._stopping.is_set():
            try:
                again, hopeless = await database_sync_to_async(questions.sweep)()
                await database_sync_to_async(outbox.prune)()
            except (OperationalError, InterfaceError) as error:
                log.warning("the sweep could not reach PostgreSQL", error=type(error).__name__)
            else:
                if again or hopeless:
                    log.warning("questions without a worker", sent_again=again, given_up=hopeless)
            await self._pause(SWEEP_EVERY)

    async def _wait_for_broker(self) -> None:
        wait = 0.5
        while not self._stopping.is_set():
            try:
                return await asyncio.to_thread(topics.ensure)
            except KafkaException as error:
                log.warning("Kafka cannot be reached, trying again", error=str(error), wait_seconds=wait)
                await self._pause(wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
