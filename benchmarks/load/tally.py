"""What came of the questions."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any

# Different reasons that are kept.
_MOST_REASONS = 50


@dataclass
class Tally:
    """Of one kind of visitors. Times are milliseconds from the question, as the visitor saw them.

    `first` are those to the first text of the answer: the first token; with a held poll the whole answer, because it
    shows nothing before; with the data agent the card with the query.
    """

    asked: int = 0
    completed: int = 0
    failed: int = 0
    lost: int = 0
    first: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        """Questions without an end."""
        return self.asked - self.completed - self.failed

    def note_answer(self, asked_at: float, first_at: float, ended_at: float, missing: int) -> None:
        """Note an answer; times are monotonic seconds, `missing` the characters that it lacks or has wrong."""
        self.first.append((first_at - asked_at) * 1000)
        self.total.append((ended_at - asked_at) * 1000)
        self.lost += missing
        if missing:
            self.note_failure(f"an answer was not the script's: {missing} characters")
        else:
            self.completed += 1

    def note_failure(self, reason: str) -> None:
        """Note a question without the answer that it should have."""
        self.failed += 1
        if reason in self.reasons or len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] += 1

    def summary(self) -> dict[str, Any]:
        """Return the counts and the percentiles."""
        counts = {name: value for name, value in asdict(self).items() if name not in ("first", "total", "reasons")}
        times = {"first_ms": percentiles(self.first), "complete_ms": percentiles(self.total)}
        return counts | times | {"reasons": dict(self.reasons.most_common())}


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50, p95 and p99; None where there is nothing to tell."""
    if len(values) < 2:
        return dict.fromkeys(("p50", "p95", "p99"), round(values[0], 1) if values else None)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {f"p{percent}": round(cuts[percent - 1], 1) for percent in (50, 95, 99)}


def missing(expected: str, got: str) -> int:
    """Return how many characters are lost: those after the first that differs, of whichever text is longer."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(expected, got, strict=False)))
    return max(len(expected), len(got)) - same
