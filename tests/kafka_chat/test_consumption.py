"""One consumer at work on a real broker."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition

from kafka_chat import clients, consumption, positions, topics
from kafka_chat.clients import Publisher
from kafka_chat.consumption import READ_AHEAD, Consumption

pytestmark = pytest.mark.usefixtures("broker")


async def _publish(*messages: tuple[bytes, bytes]) -> None:
    await asyncio.to_thread(topics.ensure)
    async with Publisher() as publisher:
        for key, value in messages:
            await publisher.send(topics.QUESTIONS, key=key, value=value, headers={})


@asynccontextmanager
async def _consuming(
    handle: Callable[[Message], Awaitable[None]],
    concurrency: int = 4,
    drain_seconds: float = 10,
    read_ahead: int = READ_AHEAD,
) -> AsyncIterator[Consumption]:
    stopping = asyncio.Event()
    consumption = Consumption(
        group="test",
        topic=topics.QUESTIONS,
        handle=handle,
        concurrency=concurrency,
        drain_seconds=drain_seconds,
        read_ahead=read_ahead,
    )
    running = asyncio.create_task(consumption.run(stopping))
    try:
        yield consumption
    finally:
        stopping.set()
        await running


async def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_keys_go_side_by_side_and_each_key_one_at_a_time_in_order() -> None:
    await _publish(*((b"k%d" % (number % 4), b"%d" % number) for number in range(40)))
    busy: Counter[bytes | None] = Counter()
    order: defaultdict[bytes | None, list[int]] = defaultdict(list)
    together = 0

    async def handle(message: Message) -> None:
        nonlocal together
        key = message.key()
        assert busy[key] == 0
        busy[key] += 1
        together = max(together, busy.total())
        await asyncio.sleep(0.01)
        order[key].append(int(message.value() or b""))
        busy[key] -= 1

    async with _consuming(handle, concurrency=8):
        await _until(lambda: sum(map(len, order.values())) == 40)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert together > 1


async def test_no_more_is_read_ahead_than_the_bound_and_no_more_is_handled_than_the_concurrency() -> None:
    await _publish(*((b"%d" % number, b"x") for number in range(60)))
    handled = 0
    at_work = most_at_work = most_in_flight = 0

    async def handle(_: Message) -> None:
        nonlocal handled, at_work, most_at_work, most_in_flight
        at_work += 1
        most_at_work = max(most_at_work, at_work)
        most_in_flight = max(most_in_flight, consumption.in_flight)
        await asyncio.sleep(0.01)
        at_work -= 1
        handled += 1

    async with _consuming(handle, concurrency=3, read_ahead=6) as consumption:
        await _until(lambda: handled == 60)
    assert most_at_work == 3
    assert most_in_flight <= 6


async def test_what_was_done_is_not_delivered_to_the_next_member_and_the_rest_is() -> None:
    await _publish(*((b"key", b"%d" % number) for number in range(6)))
    seen: list[bytes | None] = []

    async def stuck_at_three(message: Message) -> None:
        seen.append(message.value())
        if message.value() == b"3":
            await asyncio.sleep(3600)

    async with _consuming(stuck_at_three, drain_seconds=0.1):
        await _until(lambda: b"3" in seen)
    assert seen == [b"0", b"1", b"2", b"3"]
    seen.clear()

    async def note(message: Message) -> None:
        seen.append(message.value())

    async with _consuming(note):
        await _until(lambda: b"5" in seen)
    assert seen == [b"3", b"4", b"5"]


async def test_a_handler_that_raises_leaves_its_message_to_the_next_member() -> None:
    await _publish((b"a", b"bad"), (b"b", b"good"))
    seen: list[bytes | None] = []

    async def fall(message: Message) -> None:
        seen.append(message.value())
        if message.value() == b"bad":
            raise RuntimeError("a mistake in the handler")

    async with _consuming(fall):
        await _until(lambda: len(seen) == 2)
    seen.clear()

    async def note(message: Message) -> None:
        seen.append(message.value())

    async with _consuming(note):
        await _until(lambda: b"bad" in seen)
    assert seen == [b"bad"]


async def test_partitions_that_were_paused_in_a_rebalance_are_read_again() -> None:
    await _publish(*((b"%d" % number, b"%d" % number) for number in range(30)))
    seen: set[bytes | None] = set()
    gate = asyncio.Event()

    async def wait(message: Message) -> None:
        await gate.wait()
        seen.add(message.value())

    async with _consuming(wait, concurrency=1, read_ahead=2) as full:
        await _until(lambda: full.in_flight == 2)
        # Paused, until the second member's coming takes everything away, and some of it back.
        async with _consuming(wait, concurrency=1, read_ahead=2):
            await _until(lambda: full.in_flight == 0)
            gate.set()
            await _until(lambda: len(seen) == 30, seconds=30)


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning() -> None:
    await _publish((b"key", b"new"))
    # As a worker does that finishes what it had begun before the broker lost its memory.
    before = clients.consumer("test")
    before.commit(offsets=[TopicPartition(topics.QUESTIONS, number, 50) for number in range(6)], asynchronous=False)
    before.close()
    seen: list[bytes | None] = []

    async def note(message: Message) -> None:
        seen.append(message.value())

    async with _consuming(note):
        await _until(lambda: bool(seen), seconds=30)
        await _publish((b"key", b"newer"))
        await _until(lambda: b"newer" in seen)
    # Delivery is at least once: Apache Kafka says by itself that the old position is wrong, and then we may look again.
    assert list(dict.fromkeys(seen)) == [b"new", b"newer"]


async def test_a_topic_whose_last_batch_is_long_is_not_taken_for_one_that_was_made_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The embedded broker counts the last batch of a partition as one message."""
    monkeypatch.setattr(consumption, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(consumption, "_COMMIT_EVERY", 0.1)
    await asyncio.to_thread(topics.ensure)
    seen: list[bytes | None] = []
    looks = 0
    look = Consumption._was_made_anew

    def looking(self: Consumption, *arguments: Any) -> bool:
        nonlocal looks
        looks += 1
        return look(self, *arguments)

    async def note(message: Message) -> None:
        seen.append(message.value())

    monkeypatch.setattr(Consumption, "_was_made_anew", looking)
    async with Publisher() as publisher, _consuming(note):
        for batch in range(2):
            together = (
                publisher.send(topics.QUESTIONS, key=b"key", value=b"%d" % number, headers={}) for number in range(100)
            )
            await asyncio.gather(*together)
            await _until(lambda batch=batch: len(seen) >= 100 * (batch + 1))  # type: ignore[misc]
            looked = looks
            await _until(lambda looked=looked: looks >= looked + 30)  # type: ignore[misc]
    # Who comes later knows only what was committed and what the broker says.
    async with _consuming(note):
        looked = looks
        await _until(lambda: looks >= looked + 30)
    assert len(seen) == 200
    assert "made anew" not in caplog.text


async def test_of_a_long_last_batch_each_message_is_there_and_none_behind_it() -> None:
    await asyncio.to_thread(topics.ensure)
    async with Publisher() as publisher:
        sending = (publisher.send(topics.QUESTIONS, key=b"key", value=b"x", headers={}) for _ in range(100))
        await asyncio.gather(*sending)
    with positions.bystander("test") as consumer:
        (number,) = (each.partition for each in positions.of(consumer, topics.QUESTIONS) if each.high)
    there = [positions.is_there("test", topics.QUESTIONS, number, offset) for offset in (0, 99, 100)]
    assert there == [True, True, False]


async def test_what_has_begun_is_finished_before_the_end() -> None:
    await _publish((b"a", b"x"))
    begun = asyncio.Event()
    finished = False

    async def slow(_: Message) -> None:
        nonlocal finished
        begun.set()
        await asyncio.sleep(0.5)
        finished = True

    async with _consuming(slow):
        async with asyncio.timeout(20):
            await begun.wait()
    assert finished
