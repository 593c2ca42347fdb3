"""What happens in a run.

Events are numbered 1, 2, 3, … without a gap. Only an attempt that replaces one whose process was lost begins at a
number of its own, far above: nobody knows how far the lost one had come in front of its own readers. Its first event
is a restart, so what was skipped is void anyway.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

# Numbers that each attempt has to itself; above the number of events that an answer may have.
ATTEMPT = 2**20

_DELTA, _RESTART, _END = "d", "r", "e"


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the text. With `restart` it is the first piece of a new text, and what came before is void."""

    seq: int
    text: str
    restart: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows. The answer consists of the deltas up to `last`; `data` is the application's."""

    seq: int
    outcome: str
    last: int
    data: Mapping[str, Any]


Event: TypeAlias = Delta | End


def encode(event: Event) -> tuple[int, str, str]:
    """Return an event as the store keeps it: number, kind, content."""
    if isinstance(event, Delta):
        return event.seq, _RESTART if event.restart else _DELTA, event.text
    return event.seq, _END, json.dumps({"outcome": event.outcome, "last": event.last, "data": dict(event.data)})


def decode(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Event:
    """Return an event from an entry of the stream."""
    entry_id, fields = entry
    seq = int(entry_id.partition(b"-")[0])
    ((kind, content),) = fields.items()
    if kind.decode() == _END:
        end = json.loads(content)
        # What Lua makes of an empty table is an empty list.
        return End(seq, end["outcome"], int(end["last"]), end["data"] or {})
    return Delta(seq, content.decode(), kind.decode() == _RESTART)


def merge(deltas: Sequence[Delta]) -> Delta:
    """Join deltas that follow each other into one with the number of the last; what a restart made void is left out."""
    begin = max((index for index, delta in enumerate(deltas) if delta.restart), default=0)
    text = "".join(delta.text for delta in deltas[begin:])
    return Delta(deltas[-1].seq, text, deltas[begin].restart)


def text_of(events: Sequence[Event], last: int | None = None) -> str:
    """Return the text that these events of a whole run make, up to the delta with the number `last`."""
    deltas = [event for event in events if isinstance(event, Delta) and (last is None or event.seq <= last)]
    return merge(deltas).text if deltas else ""
