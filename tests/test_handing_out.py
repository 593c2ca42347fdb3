import pytest

from tests.handing_out import hands_out


@pytest.fixture(autouse=True)
def nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """No options but those of the command line."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


@pytest.mark.parametrize(
    "arguments", [["-n", "2"], ["-n2"], ["-nauto"], ["--numprocesses=2"], ["-q", "tests", "--numprocesses", "auto"]]
)
def test_who_asks_for_processes_gets_them(arguments: list[str]) -> None:
    assert hands_out(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["tests"], ["-n0"], ["-n", "0"], ["--numprocesses=0"], ["-n2", "-n0"], ["-n", "auto", "--pdb"]),
        *(["--no-header"], ["--nf"], ["--new-first"], ["-p", "no:valkey"], ["-k", "name"], ["--", "-n2"]),
    ],
)
def test_nobody_else_does(arguments: list[str]) -> None:
    assert not hands_out(arguments)


def test_the_environment_may_ask_and_the_command_line_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 2 --no-header")
    assert hands_out([])
    assert not hands_out(["-n0"])
