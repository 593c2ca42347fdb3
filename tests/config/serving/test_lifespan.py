"""Servers that tell their application when they start and stop."""

import asyncio
from typing import Any

import pytest

from config.serving import draining
from config.serving.lifespan import lifespan


async def test_what_belongs_to_the_process_begins_and_ends_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    async def end() -> None:
        happened.append("ended")

    monkeypatch.setattr(draining, "_beginnings", [])
    monkeypatch.setattr(draining, "_ends", [])

    def begin() -> None:
        happened.append("begun")

    # Said twice, it is done once.
    for _ in range(2):
        draining.at_start(begin)
        draining.before_exit(end)
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    serving = asyncio.create_task(lifespan({"type": "lifespan"}, received.get, send))
    for kind in ("startup", "shutdown"):
        received.put_nowait({"type": f"lifespan.{kind}"})
    await asyncio.wait_for(serving, 10)
    assert happened == ["begun", "ended"]
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
