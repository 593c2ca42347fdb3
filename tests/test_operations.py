"""The example alert rules and the dashboard: they can be read, and ask for nothing that no process exports."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from config.env import BASE_DIR
from tests.config.exported import exported

_FOLDER = BASE_DIR / "docs" / "operations"
# What Prometheus adds to each series, what it says itself, and what its client library exports for each process.
_ADDED = {"job", "instance"}
_OTHERS = ("up", "process_resident_memory_bytes", "process_cpu_seconds_total")
_SERIES = {name: labels | _ADDED for each in exported() for name, labels in each.series.items()}
_SERIES |= dict.fromkeys(_OTHERS, _ADDED)
# PromQL, as far as these files use it: names with their selectors, and the labels that stand after `by`.
_KEYWORDS = {"by", "sum", "max", "rate", "increase", "absent", "topk", "histogram_quantile"}
_BY = re.compile(r"\bby \(([^)]*)\)")
_NAME = re.compile(r"\b([a-z_][a-z0-9_]*)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"[^"]*"')


def _alerts() -> Iterator[tuple[str, str, str]]:
    rules = yaml.safe_load((_FOLDER / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["annotations"]["action"]
            yield rule["alert"], rule["expr"], rule["annotations"]["summary"]


def _panels() -> Iterator[tuple[str, str, str]]:
    for panel in json.loads((_FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def _mistakes(expression: str, text: str) -> Iterator[str]:
    """Yield what a query, or the text beside its values, names and nobody exports."""
    kept = {label.strip() for labels in _BY.findall(expression) for label in labels.split(",")}
    bare = re.sub(r"\[[^]]*\]", "", _BY.sub("", expression))
    used: set[str] = set()
    known: set[str] = set()
    for name, selector in _NAME.findall(bare):
        if name in _KEYWORDS:
            continue
        if name not in _SERIES:
            yield f"there is no {name}"
            continue
        known |= _SERIES[name]
        used |= set(_MATCHER.findall(selector)) - _SERIES[name]
    shown = set(re.findall(r"\$labels\.(\w+)", text)) | set(re.findall(r"\{\{(\w+)\}\}", text))
    for label in sorted(used | (kept - known) | (shown - (kept or known))):
        yield f"no such label: {label}"


@pytest.mark.parametrize(("name", "expression", "text"), [*_alerts(), *_panels()])
def test_alerts_and_panels_name_only_what_is_exported(name: str, expression: str, text: str) -> None:
    assert list(_mistakes(expression, text)) == []


@pytest.mark.parametrize(
    ("expression", "text", "mistake"),
    [
        ("max(triptych_outbox) > 1", "", "there is no triptych_outbox"),
        ('sum(rate(triptych_runs_total{ends="done"}[5m]))', "", "no such label: ends"),
        ("sum by (tenant) (triptych_open_sockets)", "", "no such label: tenant"),
        ("sum by (path) (triptych_open_sockets)", "{{instance}}", "no such label: instance"),
        ("max(triptych_answer_seconds)", "", "there is no triptych_answer_seconds"),
    ],
)
def test_such_mistakes_would_be_found(expression: str, text: str, mistake: str) -> None:
    assert list(_mistakes(expression, text)) == [mistake]


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    queries = " ".join(expression for _, expression, _ in (*_alerts(), *_panels()))
    unused = [each.name for each in exported() if not any(re.search(rf"\b{name}\b", queries) for name in each.series)]
    assert unused == []
