"""A worker's sign of life, and what the command does to its process."""

import asyncio
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config.env import BASE_DIR
from kafka_chat import consumption, heartbeat, topics
from kafka_chat.worker import Load, Worker


async def _nothing(_: object) -> None:
    return


def _consumption() -> consumption.Consumption:
    return consumption.Consumption(group="g", topic=topics.ANSWERS, handle=_nothing, concurrency=1, drain_seconds=0)


def _look(file: Path) -> int:
    return subprocess.run(
        [sys.executable, "-m", "kafka_chat.heartbeat", str(file)], cwd=BASE_DIR, capture_output=True, timeout=60
    ).returncode


async def test_the_sign_is_there_while_all_is_well_and_gone_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "sign"
    beating = asyncio.create_task(heartbeat.beat(file, lambda: True))
    async with asyncio.timeout(20):
        while not heartbeat.is_fresh(file):
            await asyncio.sleep(0.01)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert not file.exists()


async def test_who_is_not_well_gives_no_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.0)
    asked: list[bool] = []
    beating = asyncio.create_task(heartbeat.beat(tmp_path / "sign", lambda: bool(asked.append(True))))
    async with asyncio.timeout(20):
        while len(asked) < 3:
            await asyncio.sleep(0.01)
    assert not (tmp_path / "sign").exists()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


def test_an_old_sign_and_none_are_told_by_the_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "sign"
    assert _look(file) == 1
    file.touch()
    assert _look(file) == 0
    old = time.time() - heartbeat.STALE - 1
    os.utime(file, (old, old))
    assert _look(file) == 1


def test_a_worker_is_well_as_long_as_all_its_consumers_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(["persist"], concurrency=1)
    assert worker.is_well()
    worker.loads = [Load("persist", "g", topics.ANSWERS, _consumption()) for _ in range(2)]
    assert worker.is_well()
    monkeypatch.setattr(worker.loads[1].consumption, "_polled_at", time.monotonic() - consumption._STUCK - 1)
    assert not worker.is_well()


def test_a_process_that_calls_the_command_keeps_its_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "run", _nothing)
    before = gc.get_freeze_count(), gc.get_threshold()
    call_command("kafka_worker")
    assert (gc.get_freeze_count(), gc.get_threshold()) == before


def test_a_sign_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="heartbeat"):
        call_command("kafka_worker", heartbeat=tmp_path / "missing" / "sign")
