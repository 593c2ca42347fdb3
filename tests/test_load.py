"""The load with few visitors, for some seconds, and the trouble of a long run. Figures are no test's business."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.load import mix, promises, trouble
from benchmarks.load.analysts import Analysis
from benchmarks.load.mix import Mix
from benchmarks.load.patient import Asked
from benchmarks.load.tally import missing
from config.env import BASE_DIR
from tests.servers import ON_APACHE_KAFKA


@pytest.mark.timeout(300)
def test_no_character_of_any_answer_is_lost(tmp_path: Path) -> None:
    options = ["--visitors", "20", "--seconds", "6", "--think", "0.5,1.5", "--words", "15", "--report", str(tmp_path)]
    command = [
        sys.executable,
        "-m",
        "benchmarks.load",
        *options,
        "--kafka",
        "apache" if ON_APACHE_KAFKA else "embedded",
    ]
    done = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "load.json").read_text())
    assert figures["run"]["visitors"] == "20 (14 WebSocket chat, 4 Kafka chat, 2 data agent)"
    for kind in ("websocket", "kafka", "agent"):
        found = figures["visitors"][kind]
        assert found["completed"] == found["asked"] > 0
        assert (found["failed"], found["lost"]) == (0, 0)
    assert {"web 1", "web 2", "worker 1", "worker 2", "postgres", "valkey", "broker"} <= set(figures["processes"])
    for plot in ("memory.svg", "cpu.svg"):
        assert (tmp_path / plot).read_bytes().count(b"<path") > 0
    assert (tmp_path / "load.md").read_text() in done.stdout


def test_trouble_is_the_same_for_a_seed_of_every_kind_and_never_two_at_once() -> None:
    acts = trouble.draw(seed=3, seconds=600, gap=15)
    assert acts == trouble.draw(seed=3, seconds=600, gap=15) != trouble.draw(seed=4, seconds=600, gap=15)
    assert {act.trouble for act in acts} == set(trouble.TROUBLES)
    assert all(after.at - before.at - before.down >= 8 for before, after in pairwise(acts))
    assert acts[-1].at < 600


@pytest.mark.parametrize(
    ("got", "lost"), [("one two", 0), ("one t", 2), ("one two!", 1), ("", 7), ("one xwo", 3), ("two", 7)]
)
def test_characters_are_lost_from_the_first_difference_on(got: str, lost: int) -> None:
    assert missing("one two", got) == lost


_MIX = Mix(visitors=1, words=5)
_WHOLE = _MIX.answer(0)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda asked, row: None, ""),
        (lambda asked, row: asked.end.clear(), "no end"),
        (lambda asked, row: row.clear(), "there is no row"),
        (lambda asked, row: row.update(question="Another?"), "another question"),
        (lambda asked, row: row.update(answer="Another."), "another answer"),
        (lambda asked, row: row.update(answer=_WHOLE[:-3]), "lacks 3 characters"),
        (lambda asked, row: row.update(status="error", error="Sorry."), "ended as error"),
        (lambda asked, row: row.update(status="interrupted", answer=_WHOLE[:9]), "the page was told done"),
        (lambda asked, row: setattr(asked, "text", _WHOLE[1:]), "the page showed"),
        (lambda asked, row: asked.problems.append("delta 3 came after 3"), "came after"),
    ],
)
def test_a_run_that_is_not_as_promised_is_said(spoil: Callable[[Asked, dict[str, str]], object], problem: str) -> None:
    asked = Asked(0, sends=1, run="a", text=_WHOLE, cursor=6, end={"outcome": "done", "text": _WHOLE})
    row = {"question": asked.question, "answer": _WHOLE, "status": "done", "error": ""}
    spoil(asked, row)
    found = list(promises.of_run(asked, _MIX, {"a": row} if row else {}))
    assert any(problem in line for line in found) if problem else not found


_ONE = {"id": "a", "state": "answered", "answer": mix.analysis(0)[1], "error": ""}
_LOG = ["proposed", "approved", "executed", "answered"]


def _seen(**changed: object) -> Analysis:
    return Analysis(0, sends=1, step=_ONE | {"rows": mix.rows(0), "answer_source": "model", "thread": "a"} | changed)


@pytest.mark.parametrize(
    ("seen", "stored", "log", "problem"),
    [
        (_seen(), _ONE, _LOG, ""),
        (_seen(answer="customers 1.", answer_source="rule"), _ONE | {"answer": "customers 1."}, _LOG, ""),
        (_seen(state="failed"), _ONE | {"state": "failed"}, ["proposed", "approved", "cancelled"], ""),
        (Analysis(0, sends=2), _ONE, _LOG, "no end, after it was asked 2 times"),
        (_seen(state="executed"), _ONE, _LOG, "no end"),
        (_seen(rows=[["7"]]), _ONE, _LOG, "the rows are"),
        (_seen(answer="There are 7."), _ONE | {"answer": "There are 7."}, _LOG, "the answer is"),
        (_seen(), _ONE | {"state": "failed", "error": "No."}, ["approved", "failed"], "the page showed"),
        (_seen(), _ONE, [*_LOG[:3], "executed", "answered"], "executed 2 times"),
        (_seen(), _ONE, [*_LOG, "failed"], "with 2 ends"),
        (_seen(), _ONE, _LOG[:3], "answered 0 times in the log"),
        (_seen(), _ONE | {"state": "approved"}, _LOG[:2], "left behind as approved"),
    ],
)
def test_a_step_that_is_not_as_promised_is_said(
    seen: Analysis, stored: dict[str, str], log: list[str], problem: str
) -> None:
    found = [*seen.problems(), *promises.of_page(seen, {"a": stored}), *promises.of_step(stored, log)]
    assert any(problem in line for line in found) if problem else not found
