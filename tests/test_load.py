"""The load with few visitors, for some seconds, and the trouble of a long run. Figures are no test's business."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.load import trouble
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
