"""The run log: one answer being written, which any process may read, resume and stop.

events.py     what happens in a run: deltas, and one end
feeds.py      a run as all its readers in a process share it
writers.py    who writes one
store.py      where runs are kept: a Redis stream for each, changed by the scripts of scripts.py
rounds.py     the round trips that all who ask for something at the same time share
appending.py  brings what was written there
log.py        who writes and who reads in a process, and that it lives
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
