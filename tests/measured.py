"""What has been counted since, for tests of metrics: other tests have counted before, in the same process."""

from prometheus_client import REGISTRY


class Since:
    """Remembers every value of this process's metrics as it is now."""

    def __init__(self) -> None:
        self._before = _values()

    def more(self, name: str, **labels: str) -> float:
        """Return by how much the series of this name with these labels have grown since, added up."""
        return sum(
            value - self._before.get(series, 0)
            for series, value in _values().items()
            if series[0] == name and labels.items() <= dict(series[1]).items()
        )


def _values() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
    }
