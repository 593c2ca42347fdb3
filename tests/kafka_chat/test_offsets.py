from hypothesis import given
from hypothesis import strategies as st

from kafka_chat.offsets import Offsets


def test_nothing_is_due_while_the_first_message_is_open() -> None:
    offsets = Offsets()
    offsets.begin(0, 7)
    offsets.finish(offsets.begin(0, 8), 8)
    assert offsets.due() == {}
    assert len(offsets) == 1


def test_the_commit_jumps_over_what_finished_early() -> None:
    offsets = Offsets()
    *_, stretch = (offsets.begin(0, offset) for offset in (7, 8, 9))
    offsets.finish(stretch, 8)
    offsets.finish(stretch, 7)
    assert offsets.due() == {0: 9}


def test_what_was_committed_is_not_due_again() -> None:
    offsets = Offsets()
    offsets.finish(offsets.begin(3, 0), 0)
    offsets.committed(offsets.due())
    assert offsets.due() == {}


def test_a_partition_that_was_given_away_is_forgotten() -> None:
    offsets = Offsets()
    given_away, kept = offsets.begin(0, 0), offsets.begin(1, 0)
    offsets.forget([0])
    offsets.finish(given_away, 0)
    assert (given_away.over, kept.over) == (True, False)
    assert len(offsets) == 1
    assert offsets.due() == {}


def test_what_was_taken_before_a_partition_came_back_finishes_nothing_of_what_was_taken_since() -> None:
    offsets = Offsets()
    before = offsets.begin(0, 7)
    offsets.forget_all()
    since = offsets.begin(0, 7)
    offsets.finish(before, 7)
    assert offsets.due() == {}
    offsets.finish(since, 7)
    assert offsets.due() == {0: 8}


@given(
    order=st.permutations(range(12)),
    start=st.integers(0, 1000),
    gaps=st.lists(st.integers(1, 3), min_size=12, max_size=12),
)
def test_a_commit_never_passes_an_open_message(order: list[int], start: int, gaps: list[int]) -> None:
    # Offsets have gaps: transactions and compaction leave them.
    numbers = [start + sum(gaps[:position]) for position in range(12)]
    offsets = Offsets()
    *_, stretch = (offsets.begin(0, number) for number in numbers)
    still_open = set(numbers)
    for position in order:
        offsets.finish(stretch, numbers[position])
        still_open.discard(numbers[position])
        due = offsets.due().get(0)
        if still_open:
            assert due is None or due <= min(still_open)
        if due is not None:
            assert {number for number in numbers if number < due}.isdisjoint(still_open)
    assert offsets.due() == {0: numbers[-1] + 1}


def test_a_partition_that_begins_again_is_committed_from_its_new_beginning() -> None:
    offsets = Offsets()
    *_, before = (offsets.begin(0, offset) for offset in range(5))
    offsets.finish(before, 4)
    # The broker has lost its memory, and the topic was made anew.
    since = offsets.begin(0, 0)
    offsets.begin(0, 1)
    offsets.finish(before, 1)
    offsets.finish(since, 0)
    assert offsets.due() == {0: 1}
    assert len(offsets) == 1
    assert before.over
