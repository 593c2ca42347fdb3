"""What the timelines of the site's real traffic amount to, by the way an answer came and by day (UTC).

Figures alone: no text, no visitor. Percentiles are PostgreSQL's, in one statement over a bounded period.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from typing import Any

from django.db import connection
from django.utils import timezone

from llm.timelines.models import Chat, Transport

# Days that may be chosen, and the usual choice.
DAYS = (1, 7, 30, 90)
DEFAULT_DAYS = 30

_STATISTICS = """
    SELECT chat, transport, day, count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY first_seen_ms),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY first_seen_ms),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seen_ms),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seen_ms),
        avg(reads), avg(writes), sum(reconnects)
    FROM (
        SELECT *, (asked_at AT TIME ZONE 'UTC')::date AS day FROM llm_timeline
        WHERE asked_at >= %s AND outcome IN ('answered', 'done')
    ) AS answered
    GROUP BY GROUPING SETS ((chat, transport), (chat, transport, day))
    ORDER BY day DESC NULLS FIRST, chat, transport
"""


@dataclass(frozen=True, slots=True)
class Line:
    """Answers that came in the same way, of one day or (None) of the whole period; durations in milliseconds."""

    chat: str
    transport: str
    day: date | None
    answers: int
    # When the first text was seen, and the end.
    first_sight_median: float | None
    first_sight_p95: float | None
    completion_median: float
    completion_p95: float
    # Statements for each answer, on average.
    reads: float
    writes: float
    reconnects: int

    @property
    def way(self) -> str:
        """The way in words."""
        return f"{Chat(self.chat).label}, {Transport(self.transport).label}"


def of_last(days: int) -> list[Line]:
    """Return what complete answers of the last days, today included, amount to; first in all, then by day."""
    first = timezone.now().astimezone(UTC).date() - timedelta(days=days - 1)
    with connection.cursor() as cursor:
        cursor.execute(_STATISTICS, [datetime.combine(first, time(), UTC)])
        return [Line(*row) for row in cursor.fetchall()]


def read_days(text: str | None) -> int:
    """Return the number of days that a query asks for; what is none of the choices is the usual one."""
    return next((days for days in DAYS if str(days) == text), DEFAULT_DAYS)


def as_csv(lines: Sequence[Line]) -> str:
    """Return them as a CSV file; the day of the whole period is empty."""
    written = StringIO()
    writer = csv.DictWriter(written, [field.name for field in fields(Line)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return written.getvalue()


def as_json(lines: Sequence[Line]) -> dict[str, Any]:
    """Return them as a document."""
    return {"statistics": [asdict(line) for line in lines]}
