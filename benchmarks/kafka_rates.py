"""Questions per second of one web process and of one worker, ours and in the article's style, which take turns.

The model takes no time. Web: a closed loop of visitors, through the same process; ours hold polls, the article's poll
every 500 ms and are so many more that their waiting is not the limit. Worker: the questions, each of another visitor,
are in table and topic before the worker starts; the rate is that from its first stored answer to its last.
"""

import asyncio
import json
import random
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.kafka_browser import HELD, PLAIN, Browser, Way
from benchmarks.kafka_system import AT_ONCE, CONCURRENCY, Load, System, watching

if TYPE_CHECKING:
    from kafka_chat.models import ChatMessage

# Key, value and headers.
Message: TypeAlias = tuple[bytes, bytes, list[tuple[str, str | bytes | None]]]

OURS, PEER = "ours", "article's style"
# Seconds over which visitors come, and after which a drain, or a visitor's first question, counts as stuck.
_RAMP = 0.5
_STUCK = 60.0


async def measure_web(system: System, seconds: float, rounds: int, visitors: tuple[int, int]) -> None:
    """Ask through one web process for so many seconds in each turn; print the table."""
    rates: dict[str, list[float]] = {OURS: [], PEER: []}
    costs: dict[str, list[str]] = {OURS: [], PEER: []}
    ours, peers = visitors
    async with (
        system.worker("relay", "answer", "persist"),
        system.peer(),
        system.visitors(ours) as for_us,
        system.visitors(peers, api="/article/chat/") as for_peer,
    ):
        await asyncio.gather(for_us[0].ask(AT_ONCE, HELD), for_peer[0].ask(AT_ONCE, PLAIN))
        for _ in range(rounds):
            for name, browsers, way in ((OURS, for_us, HELD), (PEER, for_peer, PLAIN)):
                answered, load = await _closed_loop(system, browsers, way, seconds)
                rates[name].append(answered / seconds)
                costs[name].append(_cost(load, answered, "peer" if name is PEER else "worker"))
    print(f"Questions per second through one web process, {rounds} turns of {seconds:g} s")
    print(f"({ours} visitors who hold a poll; {peers} who poll every 500 ms)\n")
    _print(rates, {name: turns[-1] for name, turns in costs.items()})


async def _closed_loop(system: System, browsers: list[Browser], way: Way, seconds: float) -> tuple[int, Load]:
    """Return how many questions were answered in the time that counts, and what that cost.

    It begins once each visitor has had an answer.
    """
    begun = asyncio.Event()
    ended = False
    served: set[Browser] = set()
    answered = 0

    async def visit(browser: Browser) -> None:
        nonlocal answered
        await asyncio.sleep(random.uniform(0, _RAMP))
        while not ended:
            await browser.ask(AT_ONCE, way)
            answered += 1
            served.add(browser)
            if len(served) == len(browsers):
                begun.set()

    async with asyncio.TaskGroup() as group:
        for browser in browsers:
            group.create_task(visit(browser))
        await asyncio.wait_for(begun.wait(), _STUCK)
        async with watching(system) as load:
            before = answered
            await asyncio.sleep(seconds)
            number = answered - before
        ended = True
    return number, load


def _cost(load: Load, questions: int, worker: str) -> str:
    names = {"web": "web", worker: "worker", "client": "client"}
    return ", ".join(
        f"{shown} {load.milliseconds_per(name, questions):.1f} ms ({load.shares[name]:.0%})"
        for name, shown in names.items()
    )


async def measure_worker(system: System, questions: int, rounds: int) -> None:
    """Have one worker answer and store so many waiting questions in each turn; print the table."""
    rates: dict[str, list[float]] = {OURS: [], PEER: []}
    turns: tuple[tuple[str, Callable[[int], Sequence[uuid.UUID]], Callable[[], AbstractAsyncContextManager[None]]], ...]
    turns = (
        (OURS, _ask_us, partial(system.worker, "answer", "persist")),
        (PEER, _ask_peer, system.peer),
    )
    for _ in range(rounds):
        for name, ask, worker in turns:
            ids = await asyncio.to_thread(ask, questions)
            async with worker():
                rates[name].append(await _drained(ids))
    print(f"Questions per second of one worker, {rounds} turns of {questions} questions that wait")
    print(f"(ours answers {CONCURRENCY} at once, the article's one after the other)\n")
    _print(rates, {})


async def _drained(ids: Sequence[uuid.UUID]) -> float:
    """Wait until all are answered; return their rate."""
    deadline = time.monotonic() + _STUCK
    while (rate := await asyncio.to_thread(_rate, ids)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"a worker did not answer {len(ids)} questions in {_STUCK:g} s")
        await asyncio.sleep(0.25)
    return rate


def _rate(ids: Sequence[uuid.UUID]) -> float | None:
    from django.db import connection
    from django.db.models import Count, Max, Min

    from kafka_chat.models import ChatMessage

    # Ids are in the order of time: those of this turn are the last ones.
    rows = ChatMessage.objects.filter(message_id__gte=ids[0], answered_at__isnull=False)
    found = rows.aggregate(number=Count("pk"), first=Min("answered_at"), last=Max("answered_at"))
    connection.close()
    if found["number"] < len(ids):
        return None
    seconds: float = (found["last"] - found["first"]).total_seconds()
    return (len(ids) - 1) / seconds


def _ask_us(number: int) -> Sequence[uuid.UUID]:
    """Put questions into the table and into our topic."""
    from kafka_chat import topics
    from kafka_chat.messages import Question

    rows = _rows(number)
    messages = [
        Question(message_id=row.message_id, session_id=row.session_id, trace_id=row.trace_id, message=row.message)
        for row in rows
    ]
    _produce(topics.QUESTIONS, [(one.key(), one.encode(), list(one.headers().items())) for one in messages])
    return [row.message_id for row in rows]


def _ask_peer(number: int) -> Sequence[uuid.UUID]:
    """Put questions into the table and into the peer's topic."""
    from benchmarks.article import QUESTIONS

    rows = _rows(number)
    messages: list[Message] = []
    for row in rows:
        text = json.dumps({"message_id": str(row.message_id), "message": row.message})
        messages.append((str(row.message_id).encode(), text.encode(), []))
    _produce(QUESTIONS, messages)
    return [row.message_id for row in rows]


def _rows(number: int) -> "list[ChatMessage]":
    from django.db import connection

    from kafka_chat.models import ChatMessage

    rows = [ChatMessage(session_id=uuid.uuid4(), message=AT_ONCE) for _ in range(number)]
    ChatMessage.objects.bulk_create(rows)
    connection.close()
    return rows


def _produce(topic: str, messages: Sequence[Message]) -> None:
    from confluent_kafka import Producer

    from kafka_chat import clients

    producer = Producer(clients.connection())
    for key, value, headers in messages:
        producer.produce(topic, value, key, headers=headers)
    if producer.flush(30):
        raise RuntimeError(f"the broker did not take the messages on {topic}")


def _print(rates: dict[str, list[float]], costs: dict[str, str]) -> None:
    print(f"  {'':<18}{'median':>9}{'least':>9}{'most':>9}  {'processor time for each (of one core)' if costs else ''}")
    for name, turns in rates.items():
        figures = "".join(f"{value:9.1f}" for value in (statistics.median(turns), min(turns), max(turns)))
        print(f"  {name:<18}{figures}  {costs.get(name, '')}")
    print(f"  ratio of the medians {statistics.median(rates[OURS]) / statistics.median(rates[PEER]):.1f}\n")
