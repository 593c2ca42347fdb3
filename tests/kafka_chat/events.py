"""Server-sent events as a browser reads them."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream; `number` is its id, "" where it has none."""

    name: str
    data: dict[str, Any]
    number: str = ""


async def read(parts: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Yield the events of a stream. Not of any stream: ours has no comments and no data of several lines."""
    buffer = b""
    async for part in parts:
        buffer += part
        *blocks, buffer = buffer.split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if "data" in fields:
                yield ServerEvent(fields["event"], json.loads(fields["data"]), fields.get("id", ""))


async def text_and_end(events: AsyncIterable[ServerEvent]) -> tuple[str, ServerEvent]:
    """Return the text that the deltas make, and the end."""
    text = ""
    async for event in events:
        if event.name == "delta":
            text = event.data["text"] if event.data["restart"] else text + event.data["text"]
        elif event.name == "end":
            return text, event
    raise AssertionError("a stream ended without an end")
