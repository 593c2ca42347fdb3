"""Every metric of ours, with its labels: for the reference, the alerts and the dashboard."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import config.urls  # noqa: F401
from config.observability.looking import SITE, Looked

# What Prometheus appends to a histogram's name.
_PARTS = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, order=True)
class Exported:
    """One metric, under the name that a query has to use; a histogram's is without its parts' endings."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def row(self) -> str:
        """Its row in the reference."""
        labels = ", ".join(f"`{label}`" for label in self.labels)
        return f"| `{self.name}` | {self.type} | {labels} | {self.meaning} |"

    @property
    def series(self) -> dict[str, set[str]]:
        """The names that a query may use, with the labels of each."""
        if self.type != "histogram":
            return {self.name: set(self.labels)}
        return {self.name + part: {*self.labels, *(["le"] if part == "_bucket" else [])} for part in _PARTS}


def exported() -> list[Exported]:
    """Return all of them, of processes and of the site."""
    return sorted(each for each in (*_of_processes(), *_of_the_site()) if each.name.startswith("triptych_"))


def _of_processes() -> Iterator[Exported]:
    for metric in REGISTRY._collector_to_names:
        if isinstance(metric, MetricWrapperBase):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            yield Exported(name, metric._type, tuple(metric._labelnames), metric._documentation)


def _of_the_site() -> Iterator[Exported]:
    for looked in SITE._collector_to_names:
        assert isinstance(looked, Looked)
        for gauge in looked._gauges:
            yield Exported(gauge.name, "gauge", gauge.labels, gauge.meaning)
