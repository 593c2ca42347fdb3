"""Where a consumer group stands in its topic, as the broker says: read beside the group's members, not through them.

librdkafka's own statistics show a lag of -1 until the first commit, and only for the partitions of one process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer, TopicPartition

from kafka_chat import clients

# Seconds for one request to the broker.
_TIMEOUT = 5.0
# Seconds after which a message that was not read counts as not there.
_READ_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Position:
    """One partition: the first offset that is there, the one that comes next, and the group's, None without commit.

    The embedded broker counts the last batch of a partition as one message, so its `high` may be too low.
    """

    partition: int
    low: int
    high: int
    committed: int | None

    @property
    def lag(self) -> int:
        """Messages that the group has not done."""
        begin = self.low if self.committed is None else max(self.low, self.committed)
        return max(0, self.high - begin)


@contextmanager
def bystander(group: str) -> Iterator[Consumer]:
    """Yield a consumer that may ask and commit for a group, and is no member of it."""
    consumer = clients.consumer(group)
    try:
        yield consumer
    finally:
        consumer.close()


def of(consumer: Consumer, topic: str) -> list[Position]:
    """Return the position of the consumer's group in each partition. Blocks; raises KafkaException."""
    committed = {each.partition: each.offset for each in consumer.committed(_partitions(consumer, topic), _TIMEOUT)}
    return [
        Position(number, *_ends(consumer, topic, number), offset if offset >= 0 else None)
        for number, offset in sorted(committed.items())
    ]


def is_there(group: str, topic: str, number: int, offset: int) -> bool:
    """Return whether a message can be read at an offset of a partition. Blocks; raises KafkaException."""
    with bystander(group) as reader:
        reader.assign([TopicPartition(topic, number, offset)])
        found = reader.poll(_READ_TIMEOUT)
        return found is not None and found.error() is None and found.offset() == offset


def at(consumer: Consumer, topic: str, time: datetime) -> dict[int, int]:
    """Return the first offset of each partition from this time on, its end where there is none.

    The embedded broker knows the times of batches, not of messages: it names the beginning of the batch, and the
    partition's where there is nothing from this time on. Blocks; raises KafkaException.
    """
    milliseconds = int(time.timestamp() * 1000)
    wanted = [TopicPartition(topic, each.partition, milliseconds) for each in _partitions(consumer, topic)]
    return {
        found.partition: found.offset if found.offset >= 0 else _ends(consumer, topic, found.partition)[1]
        for found in consumer.offsets_for_times(wanted, timeout=_TIMEOUT)
    }


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    described = consumer.list_topics(topic, timeout=_TIMEOUT).topics.get(topic)
    if described is None or described.error is not None:
        return []
    return [TopicPartition(topic, number) for number in described.partitions]


def _ends(consumer: Consumer, topic: str, number: int) -> tuple[int, int]:
    ends = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_TIMEOUT)
    # None is for a time that ran out with `cached=True`.
    assert ends is not None
    return ends
