"""What happens in a run.

Events are numbered 1, 2, 3, … without a gap. Only an attempt that replaces one whose process was lost begins at a
number of its own, far above: nobody knows how far the lost one had come in front of its own readers. Its first event
is a restart, so what was skipped is void anyway.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

# Numbers that each attempt has to itself; above the number of events that an answer may have.
ATTEMPT = 2**20

# A piece; pieces that follow each other; the first piece of a new text; the end.
_DELTA, _DELTAS, _RESTART, _END = "d", "m", "r", "e"


class Delta(NamedTuple):
    """The next piece of the text. With `restart` it is the first piece of a new text, and what came before is void.

    A tuple for what makes one faster: see `llm.types.Chunk`.
    """

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


def encode(events: Sequence[Event]) -> list[tuple[int, str, str]]:
    """Return events as the store keeps them: number, kind, content. Pieces that follow each other share an entry."""
    entries = []
    pieces: list[str] = []
    for position, event in enumerate(events):
        if isinstance(event, End):
            entries.append((event.seq, _END, _end(event)))
        elif event.restart:
            entries.append((event.seq, _RESTART, event.text))
        else:
            pieces.append(event.text)
            following = events[position + 1] if position + 1 < len(events) else None
            if not isinstance(following, Delta) or following.restart:
                kind, content = (_DELTA, pieces[0]) if len(pieces) == 1 else (_DELTAS, json.dumps(pieces))
                entries.append((event.seq, kind, content))
                pieces = []
    return entries


def decode(entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]], after: int = 0) -> list[Event]:
    """Return the events of entries that follow a number; what an append that was made twice repeats is left out."""
    events: list[Event] = []
    for entry_id, fields in entries:
        seq = int(entry_id.partition(b"-")[0])
        ((kind, content),) = fields.items()
        for event in _events(seq, kind.decode(), content.decode()):
            if event.seq > after:
                events.append(event)
                after = event.seq
    return events


def decode_end(seq: int, content: str) -> End:
    """Return an end from its number and its content in the store."""
    end = json.loads(content)
    # What Lua makes of an empty table is an empty list.
    return End(seq, end["outcome"], int(end["last"]), end["data"] or {})


def _events(seq: int, kind: str, content: str) -> Iterable[Event]:
    if kind == _END:
        return [decode_end(seq, content)]
    if kind == _DELTAS:
        pieces = json.loads(content)
        return [Delta(number, text) for number, text in enumerate(pieces, start=seq - len(pieces) + 1)]
    return [Delta(seq, content, kind == _RESTART)]


def _end(event: End) -> str:
    return json.dumps({"outcome": event.outcome, "last": event.last, "data": dict(event.data)})


def merge(deltas: Sequence[Delta]) -> Delta:
    """Join deltas that follow each other into one with the number of the last; what a restart made void is left out."""
    begin = max((index for index, delta in enumerate(deltas) if delta.restart), default=0)
    text = "".join(delta.text for delta in deltas[begin:])
    return Delta(deltas[-1].seq, text, deltas[begin].restart)


def text_of(events: Sequence[Event], last: int | None = None) -> str:
    """Return the text that these events of a whole run make, up to the delta with the number `last`."""
    deltas = [event for event in events if isinstance(event, Delta) and (last is None or event.seq <= last)]
    return merge(deltas).text if deltas else ""
