"""Memory and processor time of each process over time."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.kafka_chat.faults.system import System

# Samples of a run: enough for a plot, whatever it lasts.
_SAMPLES = 200


@dataclass
class Series:
    """One process, or a server's processes together.

    `seconds` since the beginning, `memory` in MB (of a server: what its processes have for themselves, and what they
    share once), `cpu` as the share of one core since the sample before.
    """

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By how much of itself memory has grown from the second to the last fifth of the time."""
        fifth = len(self.memory) // 5
        if not fifth:
            return 0.0
        before, after = self.memory[fifth : 2 * fifth], self.memory[-fifth:]
        return sum(after) / sum(before) - 1 if sum(before) else 0.0


class Watch:
    """Takes samples of a system until it is cancelled."""

    def __init__(self, system: System, seconds: float) -> None:
        self.series: defaultdict[str, Series] = defaultdict(Series)
        self._find: Callable[[], Mapping[str, list[psutil.Process]]] = system.processes
        self._pause = max(0.5, seconds / _SAMPLES)
        self._used: dict[tuple[int, float], float] = {}

    async def run(self) -> None:
        """Take samples."""
        began = last = time.monotonic()
        await asyncio.to_thread(self._take, 0.0, 0.0)
        while True:
            await asyncio.sleep(self._pause)
            now = time.monotonic()
            # The visitors' event loop is not to wait for it.
            await asyncio.to_thread(self._take, now - began, now - last)
            last = now

    def _take(self, at: float, since: float) -> None:
        for name, processes in (dict(self._find()) | {"visitors (this client)": [psutil.Process()]}).items():
            used = sum(self._processor_seconds(process) for process in processes)
            if since:
                series = self.series[name]
                series.seconds.append(round(at, 1))
                series.memory.append(round(_memory(processes) / 1e6, 1))
                series.cpu.append(round(used / since, 3))

    def _processor_seconds(self, process: psutil.Process) -> float:
        """Return what a process has used since the sample before; of a new one all."""
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            now, key = times.user + times.system, (process.pid, process.create_time())
            before, self._used[key] = self._used.get(key, 0.0), now
            return max(0.0, now - before)
        return 0.0


def _memory(processes: Iterable[psutil.Process]) -> int:
    """Return the bytes that processes have in memory, those that they share once."""
    own, shared = 0, 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            info = process.memory_info()
            common = getattr(info, "shared", 0)
            own, shared = own + info.rss - common, max(shared, common)
    return own + shared
