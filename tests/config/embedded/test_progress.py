"""How far a download is, in words, on a terminal and in a log."""

import io
from pathlib import Path

import pytest

from config.embedded.progress import Meter, Progress, ProgressBar, ProgressFile


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_sentence_has_bytes_rate_and_time_left() -> None:
    progress = Progress(done=250_000_000, total=1_000_000_000, rate=5_000_000)
    assert progress.sentence() == " 25 %  250 of 1,000 MB  5.0 MB/s  2 min 30 s left"
    assert Progress(done=250_000_000, total=1_000_000_000).sentence() == " 25 %  250 of 1,000 MB"
    assert Progress(phase="checking", done=1, total=3).sentence() == " 33 %  checking the file"


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (999, 99), (1000, 100)])
def test_all_is_said_to_be_done_only_when_it_is(done: int, percent: int) -> None:
    assert Progress(done=done, total=1000).percent == percent


def test_bar_is_drawn_over_itself_on_a_terminal() -> None:
    stream = Terminal()
    bar = ProgressBar(stream)
    bar(Progress(done=1, total=2))
    bar(Progress(done=2, total=2, phase="checking"))
    bar.close()
    assert stream.getvalue().count("\r\x1b[K[") == 2
    assert "[############............]  50 %" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_lines_without_control_characters_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream)
    for done in range(100):
        bar(Progress(done=done, total=100))
    bar.close()
    assert stream.getvalue() == "  0 %  0 of 0 MB\n"


def test_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(second) for second in range(0, 100, 5))
    monkeypatch.setattr("config.embedded.progress.time.monotonic", lambda: next(clock))
    heard: list[Progress] = []
    meter = Meter(10_000, heard.append)
    for done in (0, 0, 0, 0, 500, 1000, 1500):
        meter.at(done)
    # The oldest amount that counts is that of 15 s ago.
    assert [round(progress.rate) for progress in heard] == [0, 0, 0, 0, 33, 67, 100]
    assert heard[-1].seconds_left == 85


def test_file_is_read_as_it_was_written_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "fetch.json"
    progress = Progress(done=5, total=10, pid=7)
    ProgressFile(path)(progress)
    assert ProgressFile.read(path) == progress
    path.write_text("{")
    assert ProgressFile.read(path) is None
    assert ProgressFile.read(tmp_path / "nothing") is None
