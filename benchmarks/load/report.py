"""What is printed and kept of a run: a table in Markdown, all figures as JSON, plots of memory and processor time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.load.mix import KINDS, Kind
from benchmarks.load.tally import Tally, percentiles
from benchmarks.load.watching import Series
from data_agent.plotting import Style, pygal

_PERCENTILES = ("p50", "p95", "p99")


def write(
    folder: Path,
    head: Mapping[str, Any],
    tallies: Mapping[Kind, Tally],
    at_worker: Sequence[float],
    watched: Mapping[str, Series],
) -> str:
    """Write load.md, load.json, memory.svg and cpu.svg; return the first.

    `at_worker` are the milliseconds from a question of the Kafka chat to its first token at the worker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = table(head, tallies, at_worker, watched)
    (folder / "load.md").write_text(text)
    figures = {
        "run": head,
        "visitors": {kind: tally.summary() for kind, tally in tallies.items()},
        "kafka_first_token_at_worker_ms": percentiles(at_worker),
        "processes": {name: vars(series) | {"growth": series.growth} for name, series in watched.items()},
    }
    (folder / "load.json").write_text(json.dumps(figures, indent=1))
    (folder / "memory.svg").write_bytes(
        _plot("Memory, MB", {name: each.memory for name, each in watched.items()}, watched)
    )
    (folder / "cpu.svg").write_bytes(
        _plot("Processor, share of a core", {name: each.cpu for name, each in watched.items()}, watched)
    )
    return text


def table(
    head: Mapping[str, Any],
    tallies: Mapping[Kind, Tally],
    at_worker: Sequence[float],
    watched: Mapping[str, Series],
) -> str:
    """Return the report in Markdown."""
    lines = [f"- {name}: {value}" for name, value in head.items()]
    lines += [
        "",
        "| | questions | completed | failed | lost characters | first, ms: p50 | p95 | p99 "
        "| complete, ms: p50 | p95 | p99 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(KINDS[kind], tally) for kind, tally in tallies.items()]
    if at_worker:
        cells = [f"{percentiles(at_worker)[each]:.0f}" for each in _PERCENTILES]
        lines.append(f"| Kafka chat, at the worker | | | | | {' | '.join(cells)} | | | |")
    lines += [
        "",
        "First: the first token at the page; with the Kafka chat's held poll the whole answer, which is all that it "
        "shows (the worker had its first token after the time in the last row); with the data agent the card with the "
        "query, which is approved at once.",
        "",
        "| process | core used: mean | most | memory, MB: mean | most | growth |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {mean(each.cpu):.0%} | {max(each.cpu):.0%} | {mean(each.memory):.0f} | {max(each.memory):.0f} "
        f"| {each.growth:+.0%} |"
        for name, each in sorted(watched.items())
        if each.cpu
    ]
    lines += ["", "Growth: of the last fifth of the time over the second."]
    reasons = [
        f"- {KINDS[kind]}, {number} times: {reason}"
        for kind, tally in tallies.items()
        for reason, number in tally.reasons.most_common()
    ]
    return "\n".join(lines + (["", "What failed:", "", *reasons] if reasons else [])) + "\n"


def _row(name: str, tally: Tally) -> str:
    times = [percentiles(values)[each] for values in (tally.first, tally.total) for each in _PERCENTILES]
    cells = [name, tally.asked, tally.completed, tally.failed, tally.lost]
    return "| " + " | ".join([*map(str, cells), *("" if time is None else f"{time:.0f}" for time in times)]) + " |"


def _plot(title: str, values: Mapping[str, Sequence[float]], watched: Mapping[str, Series]) -> bytes:
    style = Style(background="white", plot_background="white", font_family="system-ui, sans-serif")
    plot = pygal.XY(
        title=title, x_title="seconds", style=style, js=(), show_dots=False, width=900, height=500, legend_box_size=10
    )
    for name, each in sorted(values.items()):
        plot.add(name, list(zip(watched[name].seconds, each, strict=True)))
    rendered: bytes = plot.render()
    return rendered
