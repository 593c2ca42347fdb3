"""What is streamed, and when each word of it is due: the same for ours, the floors and the peer."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

# Seconds between words: 20 tokens per second.
INTERVAL = 0.05
# As long as the ids of our runs.
RUN = "00000000-0000-7000-8000-000000000000"


def question(count: int) -> str:
    """Return the question that is answered with so many words."""
    return f"Please count to {count:04}."


def count_in(text: str) -> int:
    """Return how many words a question wants."""
    found = re.search(r"count to (\d+)", text)
    assert found is not None
    return int(found[1])


def word(number: int) -> str:
    """Return a word of the answer, counted from 0."""
    return f"w{number:04} "


def write_script(path: Path, counts: Sequence[int]) -> None:
    """Write the script of our provider."""
    scenes = [
        {"contains": question(count), "answer": "".join(map(word, range(count))), "token_ms": INTERVAL * 1000}
        for count in sorted(set(counts))
    ]
    path.write_text(json.dumps(scenes))
