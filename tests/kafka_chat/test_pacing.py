"""When the next go may begin."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_chat.pacing import Pace


def test_the_first_go_waits_for_nobody_and_the_next_one_hardly() -> None:
    pace = Pace()
    assert pace.next_at == float("-inf")
    pace.begin(1, now=100.0)
    assert pace.next_at == pytest.approx(100.005)


@pytest.mark.parametrize(("each_second", "seconds"), [(5, 0.005), (50, 0.005), (200, 0.03), (2000, 0.03)])
def test_with_much_to_do_goes_are_rarer(each_second: int, seconds: float) -> None:
    pace, now = Pace(), 0.0
    # One after the other at first, as they come; then as the pace has it, with all that came meanwhile.
    for _ in range(2 * each_second):
        items = max(1, round((pace.next_at - now) * each_second)) if now else 1
        now = max(now + items / each_second, pace.next_at)
        pace.begin(items, now)
    assert pace.next_at - now == pytest.approx(seconds)


def test_when_the_rush_is_over_nobody_waits_long_any_more() -> None:
    pace = Pace()
    pace.begin(500, now=10.0)
    assert pace.next_at == pytest.approx(10.03)
    pace.begin(1, now=13.0)
    assert pace.next_at == pytest.approx(13.005)


@given(st.lists(st.tuples(st.floats(0.001, 10), st.integers(0, 500)), max_size=50))
def test_nobody_waits_longer_than_the_long_pace(goes: list[tuple[float, int]]) -> None:
    pace = Pace()
    moments = accumulate(pause for pause, _ in goes)
    for now, (_, items) in zip(moments, goes, strict=True):
        pace.begin(items, now)
        waiting = pace.next_at - now
        assert waiting == pytest.approx(0.005) or waiting == pytest.approx(0.03)
