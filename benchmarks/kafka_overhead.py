"""From POST to the answer in the client's hands, less the model's time, in four ways that take turns.

Under the table is where the held poll's time goes, as the row's own times have it: means, because these add up.
"""

import asyncio
import random
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.kafka_browser import ADAPTIVE, EVENTS, HELD, PLAIN, WAYS, Answered, Browser
from benchmarks.kafka_system import MODEL_MS, Load, System, question, watching

_FIRST_TEXT = f"{EVENTS.name}, text"


@dataclass
class Measured:
    """Milliseconds of each way, and its requests."""

    milliseconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    requests: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    # Of the held poll.
    stages: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


async def measure(system: System, visitors: int, seconds: float, think: tuple[float, float]) -> None:
    """Have so many visitors ask, each in all ways in an order of chance, with a pause of chance before each question.

    Prints the table.
    """
    measured = Measured()
    async with system.visitors(visitors) as browsers, watching(system) as load:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_visit(browser, until, think, measured) for browser in browsers))
    _print(visitors, measured, load)


async def _visit(browser: Browser, until: float, think: tuple[float, float], measured: Measured) -> None:
    await asyncio.sleep(random.uniform(0, think[1]))
    while True:
        for way in random.sample(WAYS, len(WAYS)):
            await asyncio.sleep(random.uniform(*think))
            if time.perf_counter() >= until:
                return
            model, sent = random.choice(MODEL_MS), browser.requests
            at, began = time.time(), time.perf_counter()
            answered = await browser.ask(question(model), way)
            measured.milliseconds[way.name].append((answered.end - began) * 1000 - model)
            measured.requests[way.name] += browser.requests - sent
            if way is HELD:
                _note_stages(answered, at, (answered.end - began) * 1000, model, measured.stages)
            if way is EVENTS:
                measured.milliseconds[_FIRST_TEXT].append((answered.first_text - began) * 1000 - model)


def _note_stages(answered: Answered, at: float, took: float, model: int, stages: defaultdict[str, list[float]]) -> None:
    """Note where the time went; `at` is when the question was sent (seconds since 1970), `took` milliseconds."""
    timings = answered.state["timings"]
    row = (datetime.fromisoformat(answered.state["created_at"]).timestamp() - at) * 1000
    stages["row"].append(row)
    stages["worker"].append(timings["picked_up_ms"])
    stages["first text"].append(timings["first_token_ms"] - timings["picked_up_ms"] - model)
    stages["stored"].append(timings["total_ms"] - timings["first_token_ms"])
    stages["visitor"].append(took - row - timings["total_ms"])


def _print(visitors: int, measured: Measured, load: Load) -> None:
    questions = sum(len(measured.milliseconds[way.name]) for way in WAYS)
    print(f"{visitors} visitors, {questions / load.seconds:.1f} questions/s")
    print(f"  {'':<20}{'median':>9}{'p10':>9}{'p90':>9}{'p99':>9}{'times':>8}{'requests':>10}{'plain polling is':>18}")
    plain = statistics.median(measured.milliseconds[PLAIN.name])
    for name in (HELD.name, EVENTS.name, _FIRST_TEXT, ADAPTIVE.name, PLAIN.name):
        times = measured.milliseconds[name]
        cuts = statistics.quantiles(times, n=100)
        median = statistics.median(times)
        figures = "".join(f"{value:9.1f}" for value in (median, cuts[9], cuts[89], cuts[98]))
        sent = f"{measured.requests[name] / len(times):.1f}" if name in measured.requests else ""
        print(f"  {name:<20}{figures}{len(times):8}{sent:>10}{plain / median:12.1f} times")
    stages = ", ".join(f"{name} {statistics.mean(times):.1f}" for name, times in measured.stages.items())
    print(f"  {HELD.name}, to: {stages}")
    late = statistics.quantiles(load.lateness, n=100)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in load.shares.items())
    print(f"  of one core: {shares}")
    print(f"  the client's event loop is late by {late[49]:.1f} ms (median) and {late[98]:.1f} ms (p99)\n")
