"""The run log: one answer being written, which any process may read, resume and stop.

events.py   what happens in a run: deltas, and one end
store.py    where it is kept: a Redis stream for each run, changed by scripts that leave no half state
rounds.py   the round trips that all who ask for something at the same time share
appending.py  brings what was written there
log.py      who writes and who reads: writers, readers, heartbeat
"""

from llm.runs.events import Delta, End, Event
from llm.runs.feeds import Take
from llm.runs.log import LEASE, MAX_CHARACTERS, RunFull, RunLog, Snapshot, Writer, log
from llm.runs.store import RunEnded, RunInfo

__all__ = [
    "LEASE",
    "MAX_CHARACTERS",
    "Delta",
    "End",
    "Event",
    "RunEnded",
    "RunFull",
    "RunInfo",
    "RunLog",
    "Snapshot",
    "Take",
    "Writer",
    "log",
]
