"""Database statements for each question, counted by PostgreSQL itself (pg_stat_statements), whoever sends them.

What is sent anyway, however many questions there are, is counted while nobody asks, and as much of it is taken off as
belongs to the time.
"""

import asyncio
import os
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Any, Literal

import psycopg

from benchmarks.kafka_browser import EVENTS, HELD, PLAIN, Browser, Way
from benchmarks.kafka_system import MODEL_MS, System, question

Kind = Literal["read", "write", "other"]

_COUNTED = """
    SELECT statement.query, sum(statement.calls)::bigint
    FROM pg_stat_statements AS statement
    JOIN pg_database AS database ON database.oid = statement.dbid AND database.datname = current_database()
    WHERE statement.query NOT LIKE '%%pg_stat_statements%%'
    GROUP BY statement.query
"""
_WIDTH = 108
# Seconds.
_LATER = 1.5
# Twice the time between two of the rarest statements that are sent anyway.
_AT_REST = 20.0
# Statements in that time where nobody asks; and how often is looked for that.
_QUIET = 20
_LONGEST_BACKLOG = 20


async def measure(system: System, visitors: int, seconds: float, *, with_categorise: bool) -> None:
    """Count over an idle time, then in three ways of waiting and with the categorise role beside; print the tables."""
    print("Database statements\n")
    database = await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
    async with database, system.visitors(visitors) as browsers:
        async with system.worker("relay", "answer", "persist"):
            idle = await _idle(database, browsers)
            for way in (HELD, EVENTS, PLAIN):
                await _measure(database, browsers, way, seconds, idle, listed=way is HELD)
        if not with_categorise:
            return
        await asyncio.to_thread(_skip_backlog)
        # Few, so that this role, which is slower, keeps up.
        few = browsers[:5]
        async with system.worker():
            idle = await _idle(database, few)
            await _measure(database, few, HELD, seconds, idle, listed=True, beside=", and the role categorise")


def _skip_backlog() -> None:
    """Have the categorise role begin with what is asked from now on."""
    from confluent_kafka import TopicPartition

    from kafka_chat import positions
    from kafka_chat.categorising import Categorising

    topic = Categorising.topic
    with positions.bystander(Categorising.group) as consumer:
        ends = [TopicPartition(topic, one.partition, one.high) for one in positions.of(consumer, topic)]
        consumer.commit(offsets=ends, asynchronous=False)


async def _measure(
    database: psycopg.AsyncConnection[Any],
    browsers: list[Browser],
    way: Way,
    seconds: float,
    idle: Mapping[str, float],
    *,
    listed: bool,
    beside: str = "",
) -> None:
    sent = sum(browser.requests for browser in browsers)
    questions = 0

    async def ask() -> None:
        nonlocal questions
        questions = await _ask(browsers, way, seconds)

    counted, took = await _counted(database, ask())
    requests = (sum(browser.requests for browser in browsers) - sent) / questions
    each = {text: (counted[text] - idle.get(text, 0) * took) / questions for text in counted.keys() | idle}
    total = {kind: sum(number for text, number in each.items() if _kind(text) == kind) for kind in ("read", "write")}
    print(f"{way.name}{beside}, {questions} questions; for each:")
    print(f"  {total['read']:.2f} reads, {total['write']:.2f} writes, {requests:.1f} requests")
    for text, number in sorted(each.items(), key=lambda one: -one[1]):
        if listed and number >= 0.005:
            shown = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
            print(f"    {number:6.2f}  {_kind(text):<6} {shown}")
    print()


async def _idle(database: psycopg.AsyncConnection[Any], browsers: list[Browser]) -> Mapping[str, float]:
    """Return what a second takes while nobody asks, once the processes are warm and have done what waited for them."""
    await _ask(browsers, HELD, 1)
    for _ in range(_LONGEST_BACKLOG):
        if sum((await _counted(database, asyncio.sleep(0)))[0].values()) <= _QUIET:
            counted, took = await _counted(database, asyncio.sleep(_AT_REST))
            return {text: number / took for text, number in counted.items()}
    raise RuntimeError("PostgreSQL does not come to rest although nobody asks")


async def _ask(browsers: list[Browser], way: Way, seconds: float) -> int:
    """Have each visitor ask, one question after the other; return their number once all are answered."""
    until = time.perf_counter() + seconds

    async def visit(browser: Browser) -> int:
        questions = 0
        while time.perf_counter() < until:
            await asyncio.sleep(random.uniform(0, 0.5))
            await browser.ask(question(random.choice(MODEL_MS)), way)
            questions += 1
        return questions

    return sum(await asyncio.gather(*map(visit, browsers)))


async def _counted(database: psycopg.AsyncConnection[Any], work: Awaitable[object]) -> tuple[Counter[str], float]:
    """Return how often each statement was executed meanwhile, and a little later: the ledger of calls writes then.

    And the seconds which that took.
    """
    began, before = time.perf_counter(), await _snapshot(database)
    await work
    await asyncio.sleep(_LATER)
    return await _snapshot(database) - before, time.perf_counter() - began


async def _snapshot(database: psycopg.AsyncConnection[Any]) -> Counter[str]:
    cursor = await database.execute(_COUNTED)
    calls: Counter[str] = Counter()
    for text, number in await cursor.fetchall():
        calls[_short(text)] += number
    return calls


def _kind(text: str) -> Kind:
    """Return what a statement does to tables. One that writes and returns something is a write."""
    if re.search(r"\b(INSERT INTO|UPDATE (?!SKIP)|DELETE FROM)", text):
        return "write"
    return "read" if re.match(r"(SELECT|WITH)\b", text) and re.search(r"\bFROM\b", text) else "other"


def _short(text: str) -> str:
    """Return a statement on one line, without lists of columns, quotes, types and where a column is from."""
    line = " ".join(text.replace('"', "").split())
    line = re.sub(r"::\w+|\b(public|pg_catalog|kf_\w+|llm_price)\.(?=\w)", "", line)
    return re.sub(r"(?<=SELECT )\S+, .*?(?= FROM )|(?<= )\((?=\w+, ).*", "…", line, count=1)
