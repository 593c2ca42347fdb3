import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.markdown import Growing, render
from tests.llm.markdown import DOCUMENTS, PAYLOADS, Reader, faults

# What markdown is made of: pieces that open, close, continue or interrupt one another.
PIECES = (
    *("a", "b ", "\n", "\n\n", "  ", "    ", "\t", "\r", "\r\n", "\0", "\ud800", "\u00a0", "\u2028", "\x0c"),
    *("- ", "* ", "+ ", "1. ", "2) ", "> ", "# ", "===", "---", "-", "```", "~~~", "|", "a|b", "-|-", "  \n", "\\"),
    *(
        "*",
        "**",
        "_",
        "~~",
        "`",
        "&amp;",
        "<b>",
        "<https://z.example>",
        "[t](https://q.example 'x')",
        "[",
        "]",
        "(",
        ")",
    ),
    *("[a]", "[A]", "[b][a]", "[a|b]", "[a]:", "[a\n", "[a]: https://x.example", "[b]:", " https://y.example"),
    *("[a|b]: https://p.example", "[a]: javascript:x", "'t", '"', "'"),
)


def _follows_exactly(pieces: Iterable[str]) -> None:
    reader = Reader()
    text = ""
    for piece in pieces:
        text += piece
        reader.read(piece)
        assert reader.html == render(text)
        assert faults(reader.html) == []
    assert reader.growing.end() == reader.html == render(text)


def _cut(text: str, cuts: Iterable[int]) -> list[str]:
    ends = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_reader_sees_the_document_so_far(name: str, size: int) -> None:
    text = DOCUMENTS[name]
    _follows_exactly(text[start : start + size] for start in range(0, len(text), size))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(sorted(DOCUMENTS)), min_size=1, max_size=4),
    st.sampled_from(["", "\n", "\n\n"]),
    st.lists(st.integers(0, 10_000), max_size=15),
)
def test_documents_behind_each_other_are_followed_whatever_the_cuts(
    names: list[str], between: str, cuts: list[int]
) -> None:
    _follows_exactly(_cut(between.join(DOCUMENTS[name] for name in names), cuts))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from(PIECES), min_size=2, max_size=6, unique=True).flatmap(
        lambda few: st.lists(st.sampled_from([*few, "\n"]), max_size=25)
    )
)
def test_any_mixture_of_markup_is_followed(pieces: list[str]) -> None:
    _follows_exactly(pieces)


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("payload", [each for kind in PAYLOADS.values() for each in kind])
def test_a_payload_makes_nothing_but_allowed_html_at_any_moment(payload: str, size: int) -> None:
    text = f"Before.\n\n{payload}\n\nAfter."
    _follows_exactly(text[start : start + size] for start in range(0, len(text), size))


def test_a_block_is_frozen_as_soon_as_the_next_one_stands_in_a_complete_line() -> None:
    reader = Reader()
    assert reader.read("one\n\n").frozen == ""
    assert reader.read("two").frozen == ""
    assert reader.read("\n").frozen == "<p>one</p>\n"
    assert reader.tail == "<p>two</p>\n"


def test_the_line_that_is_being_written_is_shown() -> None:
    assert Growing().add("Hel").tail == "<p>Hel</p>\n"


def test_what_is_frozen_comes_once() -> None:
    reader = Reader()
    frozen = [reader.read(f"Paragraph {number}.\n\n").frozen for number in range(50)]
    assert frozen == ["", *(f"<p>Paragraph {number}.</p>\n" for number in range(49))]


def test_a_list_stays_open_while_it_may_become_loose() -> None:
    reader = Reader()
    reader.read("- one\n- two\n\n")
    assert "<li>one</li>" in reader.tail
    assert reader.read("- three\n").frozen == ""
    assert "<p>one</p>" in reader.tail


def test_a_definition_after_its_use_makes_the_link_at_once() -> None:
    reader = Reader()
    reader.read("See [docs].\n\nMore.\n\nEnd.\n\n")
    assert reader.frozen == "<p>See [docs].</p>\n<p>More.</p>\n"
    patch = reader.read("[docs]: https://example.org/\n")
    assert patch.afresh
    assert 'href="https://example.org/"' in reader.frozen


def test_a_definition_that_nobody_used_freezes_nothing_again() -> None:
    reader = Reader()
    reader.read("See [docs].\n\nMore.\n\nEnd.\n\n")
    assert not reader.read("[other]: https://example.org/\n").afresh


def test_a_definition_counts_for_what_comes_later() -> None:
    reader = Reader()
    reader.read("[docs]: https://example.org/\n\nMore.\n\nEnd.\n\n")
    reader.read("See [docs].")
    assert 'href="https://example.org/"' in reader.tail


def test_a_title_may_still_come_from_below_a_list_that_seemed_to_end() -> None:
    reader = Reader()
    reader.read("- [l]: https://example.org/\n'the title\nof a link'\n\n[l]\n\nEnd.\n")
    assert "the title\nof a link" in reader.html
    assert reader.html == reader.growing.end()


def test_a_carriage_return_at_the_end_of_a_piece_may_be_half_a_line_end() -> None:
    _follows_exactly(["```\r", "\na\r", "\r\nb\r\n", "```\r", "c\r"])
