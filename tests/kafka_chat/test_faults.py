"""The short run of the fault test. `python -m tests.kafka_chat.faults` makes long ones."""

import pytest

from tests.kafka_chat.faults.run import run
from tests.servers import ON_APACHE_KAFKA


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_whatever_is_killed_every_question_ends_once_as_it_should_and_in_order() -> None:
    summary = await run(seed=1, questions=60, broker="apache" if ON_APACHE_KAFKA else "embedded")
    assert summary.answered + summary.refused + summary.given_up == 60
    assert set(summary.kills) == {"answer", "relay", "persist", "web", "broker"}
