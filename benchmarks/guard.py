"""What the data agent's guard decides and what it costs: `python -m benchmarks.guard`, about ten seconds, no server.

First the score: how many statements of the two corpora in `tests/data_agent/corpus` it judges rightly. Then the time of
a check on each legitimate one, beside the floor: PostgreSQL's parser alone, which a check needs twice (for the text,
and for the text that it writes). The three take turns at each statement. Elapsed time counts, as a check waits for the
thread that parses; on a busy machine the processor's time tells more.
"""

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable

import postgast

from data_agent.guard import check, policy
from tests.data_agent.corpus import hostile, legitimate

_ROUNDS = 20


def _score() -> None:
    refused = Counter(statement.kind for statement in hostile() if not check(statement.sql, personal=True).allowed)
    all_hostile = Counter(statement.kind for statement in hostile())
    allowed = Counter(statement.kind for statement in legitimate() if check(statement.sql, personal=True).allowed)
    all_legitimate = Counter(statement.kind for statement in legitimate())
    print(f"policy {policy.VERSION}")
    print(f"hostile     {refused.total():>5} of {all_hostile.total()} refused, {len(all_hostile)} kinds")
    print(f"legitimate  {allowed.total():>5} of {all_legitimate.total()} allowed, {len(all_legitimate)} kinds")
    for kind in sorted(all_hostile | all_legitimate):
        wrong = all_hostile[kind] - refused[kind] + all_legitimate[kind] - allowed[kind]
        if wrong:
            print(f"  wrong: {wrong} of “{kind}”")


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long it takes, and how much of the processor."""
    start, start_of_work = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - start) * 1000, (time.process_time() - start_of_work) * 1000


def _row(name: str, times: list[tuple[float, float]]) -> str:
    cells = []
    for side in zip(*times, strict=True):
        hundredths = statistics.quantiles(side, n=100)
        cells.append(f"{statistics.median(side):>10.3f}{hundredths[94]:>8.3f}{hundredths[98]:>8.3f}")
    return f"{name:<34}{'  '.join(cells)}"


def main() -> None:
    """Print the score and the times."""
    _score()
    gc.collect()
    gc.freeze()
    checks: list[tuple[float, float]] = []
    again: list[tuple[float, float]] = []
    parses: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        for statement in legitimate():
            sql = statement.sql
            written = check(sql, personal=True).sql
            parses.append(_milliseconds(lambda: postgast.parse(sql)))  # noqa: B023
            checks.append(_milliseconds(lambda: check(sql, personal=True)))  # noqa: B023
            again.append(_milliseconds(lambda: check(written, personal=True)))  # noqa: B023
    heading = f"{'median':>10}{'p95':>8}{'p99':>8}"
    print(f"\n{f'milliseconds, {len(checks):,} checks':<34}{'elapsed':>26}{'processor':>28}")
    print(f"{'':<34}{heading}  {heading}")
    print(_row("PostgreSQL's parser alone", parses))
    print(_row("check of a text", checks))
    print(_row("check of what a check wrote", again))


if __name__ == "__main__":
    main()
