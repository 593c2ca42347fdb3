"""How much somebody may ask: written by operators as "10/minute 100/hour 50000 tokens/day"."""

import re
from dataclasses import dataclass
from typing import Literal

Window = Literal["minute", "hour", "day"]
SECONDS: dict[Window, int] = {"minute": 60, "hour": 3_600, "day": 86_400}

UNLIMITED = "unlimited"
EXAMPLE = "10/minute 100/hour 50000 tokens/day"

_PART = re.compile(r"(?P<count>[0-9]{1,12})(?:/(?P<window>minute|hour)|\s+tokens/(?P<tokens>day))(?=\s|$)\s*")


@dataclass(frozen=True, slots=True)
class Limits:
    """Questions per minute and per hour, and tokens per day; None where there is no limit."""

    per_minute: int | None = None
    per_hour: int | None = None
    tokens_per_day: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Limits":
        """Read what an operator wrote; raises ValueError with a sentence."""
        rest = text.strip()
        if rest == UNLIMITED:
            return cls()
        found: dict[str, int] = {}
        while rest:
            part = _PART.match(rest)
            if part is None:
                raise ValueError(f"{rest!r} is not understood; write it like {EXAMPLE}, or {UNLIMITED}")
            name = "tokens_per_day" if part["tokens"] else f"per_{part['window']}"
            if name in found:
                raise ValueError(f"{part[0].strip()!r} sets a limit for the second time")
            found[name] = int(part["count"])
            rest = rest[part.end() :]
        if not found or 0 in found.values():
            raise ValueError(f"a limit must be 1 or more; write it like {EXAMPLE}, or {UNLIMITED}")
        return cls(**found)

    def __str__(self) -> str:
        parts = [
            f"{count}{unit}"
            for count, unit in (
                (self.per_minute, "/minute"),
                (self.per_hour, "/hour"),
                (self.tokens_per_day, " tokens/day"),
            )
            if count is not None
        ]
        return " ".join(parts) or UNLIMITED
