"""Topics on a real broker."""

import logging

import pytest
from confluent_kafka.admin import AdminClient
from pytest_django import Settings

from kafka_chat import clients, topics

pytestmark = pytest.mark.usefixtures("broker")


def _partitions() -> dict[str, int]:
    described = AdminClient(clients.connection()).list_topics(timeout=10).topics
    return {name: len(described[name].partitions) for name in topics.ALL if name in described}


def _warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """What topics warned of. A client of an earlier test may still say here that its broker has gone."""
    ours = (record for record in caplog.records if record.name == topics.__name__)
    return [record.msg for record in ours if record.levelno == logging.WARNING and isinstance(record.msg, dict)]


def test_missing_topics_are_made_with_the_configured_partitions(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.KAFKA_PARTITIONS = 4
    topics.ensure()
    assert _partitions() == dict.fromkeys(topics.ALL, 4)
    # A second time changes nothing.
    topics.ensure()
    assert _partitions() == dict.fromkeys(topics.ALL, 4)
    assert _warnings(caplog) == []


def test_topics_with_fewer_partitions_are_reported_in_one_line_that_says_what_to_do(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.KAFKA_PARTITIONS = 2
    topics.ensure()
    settings.KAFKA_PARTITIONS = 3
    topics.ensure()
    (warning,) = _warnings(caplog)
    assert "kafka-topics --alter --partitions" in str(warning["event"])
    assert (warning["configured"], warning["chatbot_questions"], warning["chatbot_answers"]) == (3, 2, 2)
    assert _partitions() == topics.with_fewer_partitions() == dict.fromkeys(topics.ALL, 2)


def test_topics_with_more_partitions_are_nobody_s_trouble(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.KAFKA_PARTITIONS = 3
    topics.ensure()
    settings.KAFKA_PARTITIONS = 2
    topics.ensure()
    assert _warnings(caplog) == []
    assert topics.with_fewer_partitions() == {}
