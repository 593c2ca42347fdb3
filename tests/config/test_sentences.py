"""A sentence is English wherever it goes, and is said in the reader's language where it is shown."""

import json
from collections.abc import Iterator
from copy import deepcopy

import pytest
from django.utils import translation

from config.sentences import Sentence, joined, making, restored, say
from config.translating import translated


@pytest.fixture
def in_german() -> Iterator[None]:
    with translation.override("de"):
        yield


def _refusal() -> Sentence:
    return joined(
        say("The table %(name)s may not be read.", name="'orders'"),
        say("The query has %(size)s bytes; at most %(most)s are allowed.", size=12_345, most=10_000),
        "As PostgreSQL says it.",
    )


def test_it_is_english_text_whatever_language_is_active(in_german: None) -> None:
    text = (
        "The table 'orders' may not be read. The query has 12,345 bytes; at most 10,000 are allowed. "
        "As PostgreSQL says it."
    )

    assert _refusal() == text
    assert json.dumps(_refusal()) == json.dumps(text)
    assert deepcopy(_refusal()) == text


def test_it_is_said_in_the_readers_language(in_german: None) -> None:
    assert translated(_refusal()) == (
        "Die Tabelle 'orders' darf nicht gelesen werden. Die Abfrage hat 12.345 Bytes; erlaubt sind höchstens 10.000. "
        "As PostgreSQL says it."
    )


def test_a_stored_one_is_said_by_what_was_kept_beside_it(in_german: None) -> None:
    inner = say("Did you mean %(name)s?", name="analytics_users")
    outer = say("The model's own query was not usable: %(problem)s", problem=inner)
    kept = json.loads(json.dumps(making(outer)))

    assert restored(kept) == outer
    assert translated(str(outer), kept) == translated(outer)
    assert "Meinten Sie analytics_users?" in translated(outer)


@pytest.mark.parametrize("kept", [[["Only %(kind)s", {}]], [["%(kind)s", None]], [["one"]], [7], None])
def test_a_stored_text_that_does_not_fit_what_was_kept_is_shown_as_it_is(in_german: None, kept: list[object]) -> None:
    assert translated("What a person wrote.", kept) == "What a person wrote."
    assert translated("", kept) == ""


def test_a_percent_sign_needs_no_care_where_there_are_no_values() -> None:
    assert say("100 % of it.") == "100 % of it."
    assert say("%(share)s %% of it.", share=7) == "7 % of it."
