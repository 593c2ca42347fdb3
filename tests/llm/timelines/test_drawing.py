"""Timelines in words, as bars on one scale, and in the table that says the same."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.timelines import drawing, words
from llm.timelines.marks import MARKS
from tests.llm.timelines.conftest import timeline


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, words.NONE), (0, "0.0 ms"), (8.44, "8.4 ms"), (119.6, "120 ms"), (999.7, "1.00 s"), (83_000, "83.0 s")],
)
def test_durations_are_said_as_people_say_them(milliseconds: float | None, text: str) -> None:
    assert words.duration(milliseconds) == text


def test_a_line_says_what_is_known_and_no_more() -> None:
    assert words.summary(timeline()) == "first word 940 ms · done 940 ms · 1 read, 3.5 writes · scripted"
    failed = timeline(first_seen_ms=None, provider="", reads=0, writes=1, reconnects=1)
    assert words.summary(failed) == "done 940 ms · 0 reads, 1 write · 1 reconnect"


def test_timelines_share_one_scale_and_one_table() -> None:
    slow = timeline(seen_ms=1880, first_seen_ms=200, transport="sse", marks={"accepted": 10, "last_token": 1800})
    drawn = drawing.of([timeline(cost=Decimal("0.0042")), slow])
    assert [lane.title for lane in drawn.lanes] == ["Kafka chat, held polling", "Kafka chat, server-sent events"]
    # Half as long as the other one, which fills the drawing.
    ends = [sum(float(part.width[:-1]) for part in lane.parts) for lane in drawn.lanes]
    assert ends == [pytest.approx(50, abs=0.05), pytest.approx(100, abs=0.05)]
    assert drawn.lanes[1].first_seen == "10.64%"
    assert [tick.text for tick in drawn.ticks] == ["0", "500 ms", "1.00 s", "1.50 s"]
    moments, facts = dict(drawn.moments), dict(drawn.facts)
    assert moments["picked up"] == ["20 ms", words.NONE]
    assert "published" not in moments
    assert facts["database"] == ["1 read, 3.5 writes"] * 2
    assert (facts["cost"], facts["tokens, prompt + answer"][0]) == (["$0.0042", "unknown"], "1,200 + 34")
    assert "Kafka chat, server-sent events: first word 200 ms · done 1.88 s" in drawn.sentence


@given(
    st.dictionaries(st.sampled_from(MARKS), st.floats(0, 3_600_000)),
    st.lists(st.floats(0, 3_600_000), min_size=3, max_size=3).map(sorted),
)
def test_whatever_was_measured_a_bar_has_no_holes_and_stays_on_the_scale(
    marks: dict[str, float], times: list[float]
) -> None:
    made = timeline(marks=marks, accepted_seen_ms=times[0], first_seen_ms=times[1], seen_ms=times[2])
    drawn = drawing.of([made])
    reached = 0.0
    for part in drawn.lanes[0].parts:
        assert float(part.x[:-1]) == pytest.approx(reached, abs=0.02)
        reached = float(part.x[:-1]) + float(part.width[:-1])
    assert reached <= 100.02
    assert 1 <= len(drawn.ticks) <= 7
    moments = list(drawing.moments_of(made).values())
    assert moments == sorted(moments)
