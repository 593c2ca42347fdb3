"""The servers' marks on the browser's clock: in order, and never after what shows that they have been."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.timelines.joining import Seen, join
from llm.timelines.marks import MARKS, Mark
from llm.timelines.models import Chat

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MILLISECONDS = st.floats(min_value=0, max_value=3_600_000)


def _at(**milliseconds: float) -> dict[Mark, datetime]:
    assert set(milliseconds) <= set(get_args(Mark))
    return {mark: NOON + timedelta(milliseconds=milliseconds[mark]) for mark in MARKS if mark in milliseconds}


def test_half_of_the_way_there_and_back_is_the_way_there() -> None:
    marks = _at(accepted=0, written=10, published=14, picked_up=20, first_token=120, last_token=900, stored=910)
    # The browser knew after 30 ms, of which the server had the question for 10.
    joined = join("kafka", marks, Seen(accepted=30, first=940, end=940))
    assert joined == {
        "accepted": 10,
        "written": 20,
        "published": 24,
        "picked_up": 30,
        "first_token": 130,
        "last_token": 910,
        "stored": 920,
    }


def test_the_websocket_chat_stores_when_the_end_has_been_seen() -> None:
    marks = _at(accepted=0, picked_up=2, first_token=100, last_token=500, stored=530)
    joined = join("websocket", marks, Seen(accepted=4, first=105, end=506))
    assert joined == {"accepted": 1, "picked_up": 3, "first_token": 101, "last_token": 501, "stored": 531}


def test_a_worker_whose_clock_is_fast_or_slow_is_put_where_it_must_have_been() -> None:
    fast = _at(accepted=0, written=5, picked_up=60_000, first_token=60_100, last_token=60_500, stored=60_510)
    assert set(join("kafka", fast, Seen(5, 600, 600)).values()) == {0, 5, 600}
    slow = _at(accepted=0, written=5, picked_up=-60_000, first_token=-59_900, last_token=-59_500, stored=520)
    joined = join("kafka", slow, Seen(5, 600, 600))
    assert joined["picked_up"] == joined["last_token"] == 5
    assert joined["stored"] == 520


def test_without_the_arrival_nothing_is_known() -> None:
    assert join("kafka", _at(stored=5), Seen(1, 2, 3)) == {}


@given(
    st.sampled_from([chat.value for chat in Chat]),
    st.dictionaries(st.sampled_from(MARKS), st.integers(-(10**8), 10**8)),
    st.lists(_MILLISECONDS, min_size=3, max_size=3).map(sorted),
    st.booleans(),
)
def test_whatever_the_clocks_say_marks_are_in_order_and_nothing_is_seen_before_it_is_made(
    chat: str, milliseconds: dict[Mark, int], times: list[float], had_text: bool
) -> None:
    seen = Seen(times[0], times[1] if had_text else None, times[2])
    joined = join(chat, _at(**milliseconds), seen)
    if "accepted" not in milliseconds:
        assert joined == {}
        return
    moments = list(joined.values())
    assert moments == sorted(moments)
    assert [mark for mark in MARKS if mark in joined] == list(joined)
    assert all(moment >= 0 for moment in moments)
    if had_text and "first_token" in joined:
        assert joined["first_token"] <= times[1]
    if "last_token" in joined:
        assert joined["last_token"] <= times[2]
    if chat == "kafka" and "stored" in joined:
        assert joined["stored"] <= times[2]


@pytest.mark.parametrize("chat", [chat.value for chat in Chat])
def test_every_mark_of_a_chat_that_is_noted_is_joined(chat: str) -> None:
    joined = join(chat, _at(**{mark: number for number, mark in enumerate(MARKS)}), Seen(50, 100, 1000))
    absent = {"websocket": {"written", "published"}, "kafka": set()}
    assert set(MARKS) - set(joined) == absent[chat]
