"""Gauges whose values stand in servers: looked up when Prometheus asks, and by nobody else.

A look happens in a thread, at most one at a time and one in `FRESH` seconds however many ask. Who asks waits for
`PATIENCE` seconds at most: then, or where the server is away, the gauges are missing, and an alert on their absence
says so. They are of the whole site, not of a process, so every web process tells the same and no worker does.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

# Seconds.
FRESH = 10.0
PATIENCE = 2.0

# For each gauge its values, with those of its labels.
Readings: TypeAlias = Mapping["Reading", Iterable[tuple[Sequence[str], float]]]

SITE = CollectorRegistry()


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge that is looked up."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


class Looked(Collector):
    """Gauges that one look finds. `look` blocks as it likes, and raises what it likes where its server is away."""

    def __init__(self, gauges: Sequence[Reading], look: Callable[[], Readings]) -> None:
        self._gauges = gauges
        self._look = look
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: Readings = {}
        self._found_at = float("-inf")

    def describe(self) -> Iterator[Metric]:
        """Name the gauges, without a look."""
        for gauge in self._gauges:
            yield GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)

    def collect(self) -> Iterator[Metric]:
        """Return what the last look has found, after another one where that is due."""
        self.begin().join(PATIENCE)
        is_fresh = time.monotonic() - self._found_at < FRESH + PATIENCE
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
            for labels, value in self._found.get(gauge, ()) if is_fresh else ():
                family.add_metric(labels, value)
            yield family

    def begin(self) -> threading.Thread:
        """Begin a look where one is due and none is under way; returns its thread, or that of the last one."""
        with self._lock:
            if self._thread is None or (not self._thread.is_alive() and time.monotonic() - self._found_at >= FRESH):
                # A daemon: the end of the process does not wait for a server that is away.
                self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                self._thread.start()
            return self._thread

    def _run(self) -> None:
        try:
            found = self._look()
        except Exception as error:
            # Each server's client has exceptions of its own, and all mean the same here.
            log.warning("metrics are missing, a server does not answer", gauge=self._gauges[0].name, error=repr(error))
            return
        self._found, self._found_at = found, time.monotonic()


_looked: list[Looked] = []


def look_up(gauges: Sequence[Reading], look: Callable[[], Readings]) -> None:
    """Add gauges that one look finds to those of the site."""
    looked = Looked(gauges, look)
    SITE.register(looked)
    _looked.append(looked)


def begin() -> None:
    """Begin all looks that are due, side by side, so that who asks waits for the slowest and not for the sum."""
    for looked in _looked:
        looked.begin()
