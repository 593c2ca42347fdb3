"""What a flush of a growing answer costs: `python -m benchmarks.markdown`, about ten seconds, no server.

The incremental renderer and a full render of the text so far take turns at each flush, so that both ran in the same
moments. A flush is what a model's token adds. Times are the processor's, as nothing here waits, and include everything
up to HTML that is safe to send.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator

from llm.markdown import Growing, render

_TOKEN = 4  # characters
_FLUSHES = 100
_SIZES = (1024, 2048, 4096, 8192, 16384)
_SIZE = 8192

_ANSWER = """\
## Step {n}: publish what was stored

A **transactional outbox** keeps the message and the row together, so that `COMMIT` decides about both. The relay
publishes *afterwards*; see [the pattern](https://example.org/{n}) for what happens when it dies in between.

1. Write both rows in one transaction.
2. Publish what is unsent, **then** mark it.
   - Claim with `SKIP LOCKED`.
   - Never page by `id`.

```python
for row in claim(limit={n}):
    produce(row.topic, row.payload)
```

| Failure | Effect |
|---------|--------|
| relay dies before | published later |
| relay dies after | published twice |

> Consumers must be idempotent.

"""


def _repeated(template: str) -> str:
    text = ""
    number = 0
    while len(text) < max(_SIZES) + _FLUSHES * _TOKEN:
        number += 1
        text += template.format(n=number)
    return text


_ONE_BLOCK = {
    "one paragraph, plain": _repeated("Nothing is lost when a worker dies, as the next one takes over. "),
    "one paragraph, emphasis": _repeated("The **next** one takes `over {n}` and *nothing* is lost. "),
    "one fence": "```python\n" + _repeated("total = sum(row.amount for row in rows[{n}:])\n"),
    "one list": _repeated("- Item {n}: **claim** the row, then `publish` it, and mark it as sent\n"),
    "one table": "| a | b | c |\n|---|---|---|\n" + _repeated("| row {n} | *claimed* | published and marked |\n"),
}

_HOSTILE = {
    "open brackets": "[" * _SIZE,
    "brackets in paragraphs": ("[" * 100 + "\n\n") * (_SIZE // 102),
    "brackets as references": "[a][" * (_SIZE // 4),
    "brackets in lines": "[a\n" * (_SIZE // 3),
    "nested brackets": "[" * (_SIZE // 2) + "]" * (_SIZE // 2),
    "half links": "[a](b" * (_SIZE // 5),
    "emphasis, never closed": "*a **a _a " * (_SIZE // 10),
    "emphasis, nested": "*" * (_SIZE // 2) + "a" + "*" * (_SIZE // 2),
    "emphasis, intertwined": "*a_ " * (_SIZE // 4),
    "backticks of all lengths": " ".join("`" * length for length in range(1, 127)),
    "quotes, nested": ">" * _SIZE,
    "quotes, ever deeper": "\n".join(">" * depth for depth in range(1, 127)),
    "lists, ever deeper": "\n".join("  " * depth + "- a" for depth in range(90)),
    "empty cells": ("|a" * 20 + "|\n" + "|-" * 20 + "|\n" + "|\n" * 40 + "\n") * (_SIZE // 166),
    "definitions, used often": "[a] " * 400 + "\n\n[a]: https://example.org/" + "x" * 900,
    "definition, title never closed": "[a]: https://x\n'" + "a\n" * (_SIZE // 2),
    "angle brackets": "<a:" * (_SIZE // 3),
}


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return (time.thread_time() - start) * 1000


def _flushes(text: str, size: int) -> Iterator[tuple[float, float]]:
    growing = Growing()
    for start in range(0, size, 256):
        growing.add(text[start : start + 256])
    for start in range(size, size + _FLUSHES * _TOKEN, _TOKEN):
        piece, so_far = text[start : start + _TOKEN], text[: start + _TOKEN]
        yield _milliseconds(lambda: growing.add(piece)), _milliseconds(lambda: render(so_far))  # noqa: B023


def _row(name: str, size: int, text: str) -> str:
    pairs = list(_flushes(text, size))
    ours, full = ([pair[side] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(whole / part for part, whole in pairs)
    return f"{name:<32}{size / 1024:>6.0f} KB {_spread(ours)}  {_spread(full)}  {ratio:>6.1f}"


def _spread(times: list[float]) -> str:
    tenths = statistics.quantiles(times, n=10)
    return f"{statistics.median(times):>7.3f} ({tenths[0]:.3f} to {tenths[-1]:.3f})".ljust(26)


def main() -> None:
    """Print the tables: time for each flush by size, by kind of block, and full renders of hostile text."""
    render(_ANSWER)
    gc.collect()
    gc.freeze()
    print(
        f"Processor milliseconds for each flush of {_TOKEN} characters: median of {_FLUSHES} (10th to 90th centile)\n"
    )
    print(f"{'answer':<32}{'length':>9} {'only the open block':<26}  {'full render':<26}  {'ratio':>6}")
    for size in _SIZES:
        print(_row("many blocks", size, _repeated(_ANSWER)))
    for name, text in _ONE_BLOCK.items():
        print(_row(name, _SIZE, text))
    print(f"\nProcessor milliseconds for a full render of hostile text of about {_SIZE / 1024:.0f} KB: median of 3\n")
    for name, text in _HOSTILE.items():
        times = [_milliseconds(lambda: render(text)) for _ in range(3)]  # noqa: B023
        print(f"{name:<32}{len(text):>6} {statistics.median(times):>9.1f}")


if __name__ == "__main__":
    main()
