"""What stands in servers, looked up when Prometheus or an operator asks.

A look happens in a thread, at most one at a time and one in `FRESH` seconds however many ask. Who asks waits until it
has taken `PATIENCE` seconds at most: then, or where the server is away, there is no answer. Gauges are missing then,
and an alert on their absence says so. They are of the whole site, not of a process, so every web process tells the same
and no worker does.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

# Seconds.
FRESH = 10.0
PATIENCE = 2.0

Found = TypeVar("Found")

# For each gauge its values, with those of its labels.
Readings: TypeAlias = Mapping["Reading", Iterable[tuple[Sequence[str], float]]]

SITE = CollectorRegistry()


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge that is looked up."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


class Look(Generic[Found]):
    """What a server is asked for. `find` blocks as it likes, and raises what it likes where its server is away."""

    def __init__(self, name: str, find: Callable[[], Found]) -> None:
        self._name = name
        self._find = find
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began_at = self._found_at = float("-inf")
        self._found: Found | None = None

    def begin(self, fresh: float | None = None) -> None:
        """Ask, unless somebody does so now or has learned something less than so many seconds ago."""
        with self._lock:
            is_under_way = self._thread is not None and self._thread.is_alive()
            if not is_under_way and time.monotonic() - self._found_at >= (FRESH if fresh is None else fresh):
                self._began_at = time.monotonic()
                # A daemon: the end of the process does not wait for a server that is away.
                self._thread = threading.Thread(target=self._run, name=f"look: {self._name}", daemon=True)
                self._thread.start()

    def found(self, fresh: float | None = None) -> Found | None:
        """Return what was found, by another look where that is due; None where the server does not answer in time."""
        fresh = FRESH if fresh is None else fresh
        self.begin(fresh)
        if self._thread is not None:
            self._thread.join(max(0.0, self._began_at + PATIENCE - time.monotonic()))
        return self._found if time.monotonic() - self._found_at < fresh + PATIENCE else None

    def _run(self) -> None:
        try:
            found = self._find()
        except Exception as error:
            # Each server's client has exceptions of its own, and all mean the same here.
            log.warning("a server does not answer", wanted=self._name, error=repr(error))
            return
        self._found, self._found_at = found, time.monotonic()


class Looked(Collector):
    """Gauges that one look finds."""

    def __init__(self, gauges: Sequence[Reading], look: Callable[[], Readings]) -> None:
        self._gauges = gauges
        self._look = Look(gauges[0].name, look)
        self.begin = self._look.begin

    def describe(self) -> Iterator[Metric]:
        """Name the gauges, without a look."""
        for gauge in self._gauges:
            yield GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)

    def collect(self) -> Iterator[Metric]:
        """Return what the last look has found, after another one where that is due."""
        found = self._look.found() or {}
        for gauge in self._gauges:
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
            for labels, value in found.get(gauge, ()):
                family.add_metric(labels, value)
            yield family


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
