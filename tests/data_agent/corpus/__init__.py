"""Statements for the guard, each with its kind: what it must refuse, and what analysts ask and it must let through."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Statement:
    """A text and what kind of thing it is."""

    kind: str
    sql: str


@cache
def hostile() -> tuple[Statement, ...]:
    """Return what the guard must refuse."""
    return _read("hostile.jsonl")


@cache
def legitimate() -> tuple[Statement, ...]:
    """Return what the guard must let through."""
    return _read("legitimate.jsonl")


def _read(name: str) -> tuple[Statement, ...]:
    # Not splitlines(): some texts hold characters that it takes for the end of a line.
    lines = (_FOLDER / name).read_text(encoding="utf-8").split("\n")
    return tuple(Statement(**json.loads(line)) for line in lines if line)
