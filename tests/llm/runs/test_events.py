"""The events of a run, which are kept as their texts: what is read back is what was added."""

import gc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from llm.runs.events import ATTEMPT, Delta, End, Event, Events
from tests.llm.runs.conftest import stored

_PIECES = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.booleans(),
        st.sampled_from([0, 0, 0, ATTEMPT]),
    ),
    max_size=12,
)
_NUMBERS = st.integers(0, 3 * ATTEMPT) | st.integers(0, 15)


@st.composite
def _runs(draw: st.DrawFn) -> list[Event]:
    """Deltas with restarts and gaps among their numbers, and perhaps an end."""
    events: list[Event] = []
    seq = 0
    for text, restart, gap in draw(_PIECES):
        seq += 1 + gap
        events.append(Delta(seq, text, restart))
    if draw(st.booleans()):
        events.append(End(seq + 1, "done", draw(st.integers(0, seq)), {}))
    return events


def _joined(events: Sequence[Event]) -> Delta | None:
    """What the deltas make as one, by looking at each."""
    joined: Delta | None = None
    for event in events:
        if isinstance(event, Delta):
            begun = event if joined is None or event.restart else joined._replace(text=joined.text + event.text)
            joined = begun._replace(seq=event.seq)
    return joined


@given(_runs(), _NUMBERS)
def test_what_follows_a_number_is_what_was_added_after_it(events: list[Event], cursor: int) -> None:
    following = [event for event in events if event.seq > cursor]
    assert stored(Events(events), cursor) == following
    assert Events(events).piece_after(cursor) == _joined(following)


@given(_runs(), st.none() | _NUMBERS)
def test_the_text_ends_with_the_delta_that_was_seen_last(events: list[Event], last: int | None) -> None:
    seen = _joined([event for event in events if last is None or event.seq <= last])
    assert Events(events).text(last) == (seen.text if seen else "")


@given(_runs())
def test_the_last_event_is_known_by_its_number(events: list[Event]) -> None:
    kept = Events(events)
    assert kept.last == (events[-1].seq if events else 0)
    assert kept.end == (events[-1] if events and isinstance(events[-1], End) else None)


def test_a_long_answer_is_nothing_to_look_at_for_the_garbage_collector() -> None:
    kept = Events()
    gc.collect()
    before = len(gc.get_objects())
    for seq in range(1, 5_001):
        kept.append(Delta(seq, f"word {seq} "))
    assert len(gc.get_objects()) - before < 100
    assert len(stored(kept)) == 5_000
