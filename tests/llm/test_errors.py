from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llm import errors


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, errors.Rejected, False),
        (401, errors.Rejected, False),
        (404, errors.Rejected, False),
        (408, errors.TimedOut, True),
        (413, errors.TooLong, False),
        (429, errors.RateLimited, True),
        (500, errors.ProviderFault, True),
        (503, errors.ProviderFault, True),
        (504, errors.TimedOut, True),
    ],
)
def test_each_status_has_its_error(status, kind, retryable):
    error = errors.from_status(status, f"HTTP {status}", provider="gemini")
    assert type(error) is kind
    assert error.retryable is retryable
    assert str(error) == f"gemini: HTTP {status}"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("0", 0),
        ("-3", 0),
        ("", None),
        (None, None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_the_wait_is_read_in_seconds(header, seconds):
    assert errors.seconds_to_wait(header) == seconds


@pytest.mark.parametrize("ahead", [-60, 90])
def test_the_wait_may_be_a_date(ahead):
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    assert errors.seconds_to_wait(moment) == pytest.approx(max(0, ahead), abs=2)


def test_what_a_visitor_reads_is_a_sentence_without_technical_detail():
    kinds = [errors.LLMError, *errors.LLMError.__subclasses__(), *errors.Rejected.__subclasses__()]
    for kind in kinds:
        assert kind.public.endswith(".")
        assert "HTTP" not in kind.public


def test_several_failures_of_one_kind_keep_its_sentence():
    busy = errors.NoProviderAnswered([errors.RateLimited("HTTP 429"), errors.RateLimited("HTTP 429")])
    mixed = errors.NoProviderAnswered([errors.RateLimited("HTTP 429"), errors.Rejected("HTTP 401")])
    assert busy.public == errors.RateLimited.public
    assert mixed.public == errors.NoProviderAnswered.public


def test_another_try_helps_where_it_helps_one_of_the_providers():
    assert errors.NoProviderAnswered([errors.Rejected("a"), errors.Unreachable("b")]).retryable
    assert not errors.NoProviderAnswered([errors.Rejected("a"), errors.TooLong("b")]).retryable
