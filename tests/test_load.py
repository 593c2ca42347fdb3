"""The load with few visitors, for some seconds. Its figures are no test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
