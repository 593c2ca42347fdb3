"""The tables of the benchmark, in Markdown, as they stand in the README of the WebSocket chat."""

import statistics
from collections.abc import Callable, Sequence

from benchmarks.ws_system import Played

LATENESS = (
    "| streams | server | first word late, ms: p50 | p99 | next words late, ms: p50 | p99 | most | errors | lost "
    "| client: busy | late, ms: p99 |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)
COSTS = "| streams | server | CPU of 1,000 frames, ms | CPU of a question, ms |\n|---|---|--:|--:|"
MEMORY = "| server | memory of an open connection, kB | while it streams |\n|---|--:|--:|"
RESUMES = "| resumed in | missing words after, ms: p50 | p99 | connecting included: p50 | p99 |\n|---|--:|--:|--:|--:|"


def lateness(streams: str, server: str, rounds: Sequence[Played]) -> str:
    """Return how late the words were."""
    return _cells(
        streams,
        server,
        _spread(rounds, lambda each: _quantile(each.said["first"], 50)),
        f"{_median(rounds, lambda each: _quantile(each.said['first'], 99)):.1f}",
        f"{_median(rounds, lambda each: _quantile(each.said['following'], 50)):.1f}",
        _spread(rounds, lambda each: _quantile(each.said["following"], 99)),
        f"{_median(rounds, lambda each: max(each.said['following'], default=float('nan'))):.0f}",
        str(sum(each.said["errors"] for each in rounds)),
        str(sum(each.said["lost"] for each in rounds)),
        f"{_median(rounds, lambda each: each.said['share']):.0%}",
        f"{_median(rounds, lambda each: _quantile(each.said['client_late'], 99)):.1f}",
    )


def costs(streams: str, server: str, rounds: Sequence[Played]) -> str:
    """Return what the words and the questions cost the server."""
    return _cells(
        streams,
        server,
        _spread(rounds, lambda each: each.frame_ms),
        _spread(rounds, lambda each: each.asking_ms),
    )


def memory(server: str, played: Played) -> str:
    """Return what connections cost a server that had none before."""
    return _cells(server, f"{played.idle_kb:.0f}", f"{played.streaming_kb:.0f}")


def resumes(where: str, played: Played) -> str:
    """Return how soon a page that comes back has what it missed."""
    resumed, connected = played.said["resumed"]["resumed"], played.said["resumed"]["connected"]
    return _cells(where, *(f"{_quantile(each, percent):.1f}" for each in (resumed, connected) for percent in (50, 99)))


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _median(rounds: Sequence[Played], value: Callable[[Played], float]) -> float:
    return statistics.median(map(value, rounds))


def _spread(rounds: Sequence[Played], value: Callable[[Played], float]) -> str:
    values = [value(each) for each in rounds]
    middle = f"{statistics.median(values):.1f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.1f} to {max(values):.1f})"


def _quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
