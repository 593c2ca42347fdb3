"""What happens in a run.

Events are numbered 1, 2, 3, … without a gap. Only an attempt that replaces one whose process was lost begins at a
number of its own, far above: nobody knows how far the lost one had come in front of its own readers. Its first event
is a restart, so what was skipped is void anyway.
"""

import json
from collections.abc import Iterable, Mapping
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
# Number, kind and content. Pieces that follow each other share an entry, with the number of the last; the store keeps
# them as the JSON of their list.
Entry: TypeAlias = tuple[int, str, str | list[str]]


class Events:
    """The events of one run, in order. Of the deltas it keeps the texts alone.

    An object for each piece would be the garbage collector's business for as long as the run is known: where a thousand
    answers are written that are 20,000 more in each second, and each of its longer looks stops the whole process. Texts
    refer to nothing, so it never looks at them.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        # The end, None before it.
        self.end: End | None = None
        self._texts: list[str] = []
        # Where a stretch of numbers without a gap or a restart begins: number, place among the texts, and `restart`.
        self._stretches: list[tuple[int, int, bool]] = []
        self._last_piece = 0
        for event in events:
            self.append(event)

    @property
    def last(self) -> int:
        """The number of the last event, 0 before the first."""
        return self.end.seq if self.end else self._last_piece

    def append(self, event: Event) -> None:
        """Add the event that follows."""
        if isinstance(event, End):
            self.end = event
            return
        if event.restart or event.seq != self._last_piece + 1 or not self._stretches:
            self._stretches.append((event.seq, len(self._texts), event.restart))
        self._last_piece = event.seq
        self._texts.append(event.text)

    def entries(self, cursor: int) -> list[Entry]:
        """Return what follows a number, as the store keeps it: see `decode`."""
        entries: list[Entry] = []
        stop = len(self._texts)
        for seq, place, restart in reversed(self._stretches):
            skipped = max(0, cursor - seq + 1)
            entries[:0] = _entries(seq + skipped, self._texts[place + skipped : stop], restart and not skipped)
            if skipped:
                break
            stop = place
        if self.end is not None and self.end.seq > cursor:
            entries.append((self.end.seq, _END, _end(self.end)))
        return entries

    def piece_after(self, cursor: int) -> Delta | None:
        """Return the deltas that follow a number as one, with the number of the last; None where none follows.

        What a restart made void is left out.
        """
        if cursor >= self._last_piece:
            return None
        begin, is_restart = len(self._texts), False
        for seq, place, restart in reversed(self._stretches):
            if cursor >= seq:
                begin = min(begin, place + cursor - seq + 1)
                break
            begin, is_restart = place, restart
            if restart:
                break
        return Delta(self._last_piece, "".join(self._texts[begin:]), is_restart)

    def text(self, last: int | None = None) -> str:
        """Return the text that they make, up to the delta with the number `last`."""
        begin, stop = 0, len(self._texts)
        for seq, place, restart in reversed(self._stretches):
            if last is not None:
                if seq > last:
                    stop = place
                    continue
                stop = min(stop, place + last - seq + 1)
            if restart:
                begin = place
                break
        return "".join(self._texts[begin:stop])


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


def _entries(seq: int, pieces: list[str], restart: bool) -> list[Entry]:
    """Return the entries of pieces that follow each other from a number on; `restart` is that of the first."""
    if restart:
        return [(seq, _RESTART, pieces[0]), *_entries(seq + 1, pieces[1:], restart=False)]
    if len(pieces) == 1:
        return [(seq, _DELTA, pieces[0])]
    return [(seq + len(pieces) - 1, _DELTAS, pieces)] if pieces else []


def _end(event: End) -> str:
    return json.dumps({"outcome": event.outcome, "last": event.last, "data": dict(event.data)})
