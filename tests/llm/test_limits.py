import pytest

from config import env
from config.env import ConfigurationError
from llm.limits import Limits


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("10/minute 100/hour 50000 tokens/day", Limits(10, 100, 50_000)),
        ("  50000   tokens/day  10/minute ", Limits(10, None, 50_000)),
        ("7/hour", Limits(per_hour=7)),
        ("unlimited", Limits()),
    ],
)
def test_what_operators_write_is_read_and_written_back(text: str, limits: Limits) -> None:
    assert Limits.parse(text) == limits
    assert Limits.parse(str(limits)) == limits


@pytest.mark.parametrize(
    "text",
    ["", "10", "10/fortnight", "ten/minute", "-1/minute", "0/hour", "1/minute 2/minute", "1/minute,2/hour", "5 tokens"],
)
def test_what_cannot_be_read_is_said_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"10/minute 100/hour 50000 tokens/day|second time"):
        Limits.parse(text)


def test_a_bad_budget_stops_the_program_with_a_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BUDGET_STAFF", "10/fortnight")
    with pytest.raises(ConfigurationError, match=r"^LLM_BUDGET_STAFF: '10/fortnight' is not understood"):
        env.load()
