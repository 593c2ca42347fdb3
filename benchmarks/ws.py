"""What the WebSocket chat costs: `python -m benchmarks.ws`, about seven minutes; `--quick` for a look, about one.

Each visitor asks once and is answered with 20 words a second. A word is due when the question was sent plus 50 ms for
each word before it; how late it is says everything that was in between, and nothing of the model. Ours is the whole
chat with all that it keeps on the way: visitor, budget, chain and breaker, run log, ledger, row, markdown at the end.

Beside it, in the same minutes: a bare Starlette WebSocket on uvicorn (uvloop), and a bare Channels consumer, both on
Daphne as it comes and on our tuned one (`benchmarks.ws_peers`); and Chainlit, up to 100 streams, where it is installed
in `.cache/chainlit`: above a few hundred it falls over. The servers take turns in an order of chance.

CPU is the web process's while all streams run, for 1,000 frames. The client is a process of its own; how busy and how
late it was itself is in the last columns: what it is late, the words seem to be. Figures are medians of the rounds,
with the smallest and the largest.
"""

import argparse
import asyncio
import io
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks import ws_system
from benchmarks.ws_schedule import INTERVAL
from benchmarks.ws_system import CHAINLIT, OURS, STARLETTE, STOCK, TUNED, Client, Played, Server

_LIMIT = 500.0
_RESUMES = 40
_ALL = (OURS, STARLETTE, TUNED, STOCK)


@dataclass(frozen=True, kw_only=True)
class Level:
    """So many streams at once, on so many web processes; `ramp` and `seconds` (all streams run) are times."""

    streams: int
    ramp: float
    seconds: float
    rounds: int
    processes: int = 1
    servers: tuple[str, ...] = _ALL

    @property
    def count(self) -> int:
        """The words of an answer."""
        return round((self.ramp + self.seconds + 0.5) / INTERVAL)


_FULL = (
    Level(streams=1, ramp=0, seconds=3, rounds=2, servers=(*_ALL, CHAINLIT)),
    Level(streams=100, ramp=1, seconds=4, rounds=3, servers=(*_ALL, CHAINLIT)),
    Level(streams=500, ramp=6, seconds=4, rounds=2, servers=(OURS, STARLETTE, TUNED)),
    Level(streams=1000, ramp=14, seconds=5, rounds=2),
    Level(streams=1400, ramp=14, seconds=5, rounds=1, processes=2, servers=(OURS, TUNED)),
)
_QUICK = (
    Level(streams=100, ramp=1, seconds=3, rounds=1),
    Level(streams=500, ramp=6, seconds=3, rounds=1, servers=(OURS, TUNED)),
)


def main() -> None:
    """Start everything, measure, print the tables, stop everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ws", description="Measure the WebSocket chat.")
    parser.add_argument("--quick", action="store_true", help="a look, too short for figures")
    parser.add_argument("--streams", action="append", type=int, help="only levels with so many; may be repeated")
    parser.add_argument("--server", action="append", help="only these servers; may be repeated")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A row is shown when it is there, also where the output goes to a file.
        sys.stdout.reconfigure(line_buffering=True)
    levels = [
        each for each in (_QUICK if arguments.quick else _FULL) if each.streams in (arguments.streams or [each.streams])
    ]
    try:
        with ws_system.servers([*(level.count for level in levels), _COUNT_OF_RESUMED]):
            import django

            django.setup()
            _say_load(f"WebSocket chat, {os.cpu_count()} cores")
            asyncio.run(_measure(levels, arguments.server))
            _say_load("At the end")
    except KeyboardInterrupt:
        sys.exit("Interrupted; everything is stopped.")


# Words of the answers that are resumed.
_COUNT_OF_RESUMED = 120


async def _measure(levels: Sequence[Level], only: Sequence[str] | None) -> None:
    async with asyncio.timeout(_LIMIT), AsyncExitStack() as stack:
        client = await stack.enter_async_context(ws_system.client())
        wanted = {name for level in levels for name in level.servers if not only or name in only}
        if not ws_system.CHAINLIT_AT.exists():
            wanted.discard(CHAINLIT)
            print("Chainlit is not there: python -m venv .cache/chainlit && .cache/chainlit/bin/pip install chainlit\n")
        pairs = {
            name: await stack.enter_async_context(ws_system.serving(name, max(level.processes for level in levels)))
            for name in (OURS, STARLETTE, TUNED, STOCK, CHAINLIT)
            if name in wanted
        }
        for server in pairs.values():
            # What is made once is made now.
            await client.play(_part(server, 1), streams=10, ramp=0.2, count=levels[0].count)
        print(_HEAD)
        for level in levels:
            played: dict[str, list[Played]] = {name: [] for name in level.servers if name in wanted}
            for _ in range(level.rounds):
                for name in random.sample(list(played), len(played)):
                    server = _part(pairs[name], level.processes)
                    played[name].append(
                        await client.play(server, streams=level.streams, ramp=level.ramp, count=level.count)
                    )
            for name, rounds in played.items():
                print(_row(level, name, rounds))
            print()
        if OURS in pairs:
            await _measure_resumes(client, pairs[OURS])


def _part(server: Server, processes: int) -> Server:
    return Server(server.name, server.children[:processes], server.ports[:processes])


async def _measure_resumes(client: Client, server: Server) -> None:
    played = await client.play(server, streams=20, ramp=0.5, count=_COUNT_OF_RESUMED, resumes=_RESUMES)
    where = "another process" if len(server.ports) > 1 else "the same process"
    for what, name in (("resume to the missing words", "resumed"), ("connecting included", "connected")):
        values = played.said["resumed"][name]
        print(f"{what:28} p50 {_quantile(values, 50):6.2f} ms   p99 {_quantile(values, 99):6.2f} ms   in {where}")


_HEAD = (
    f"{'streams':>9} {'server':<23}{'first word late, ms':>22}{'next words late, ms':>31}"
    f"{'CPU of 1,000':>22}{'kB a connection':>17}{'errors':>8}{'lost':>6}{'client':>16}\n"
    f"{'':>9} {'':<23}{'p50':>14}{'p99':>8}{'p50':>10}{'p99':>15}{'max':>6}"
    f"{'frames, ms':>16}{'ask':>6}{'open':>9}{'streams':>8}{'':>14}{'busy':>9}{'p99':>7}"
)


def _row(level: Level, name: str, rounds: Sequence[Played]) -> str:
    def median(value: Callable[[Played], float]) -> float:
        return statistics.median(map(value, rounds))

    def spread(value: Callable[[Played], float], form: str) -> str:
        values = [value(each) for each in rounds]
        middle = format(statistics.median(values), form)
        return middle if len(values) < 2 else f"{middle} {format(min(values), form)}-{format(max(values), form)}"

    streams = f"{level.streams}" if level.processes == 1 else f"{level.streams} on {level.processes}"
    return (
        f"{streams:>9} {name:<23}"
        f"{spread(lambda each: _quantile(each.said['first'], 50), '.1f'):>14}"
        f"{median(lambda each: _quantile(each.said['first'], 99)):8.1f}"
        f"{median(lambda each: _quantile(each.said['following'], 50)):10.1f}"
        f"{spread(lambda each: _quantile(each.said['following'], 99), '.1f'):>15}"
        f"{median(lambda each: max(each.said['following'], default=float('nan'))):6.0f}"
        f"{spread(lambda each: each.frame_ms, '.0f'):>16}"
        f"{median(lambda each: each.asking_ms):6.1f}"
        f"{median(lambda each: each.idle_kb):9.0f}{median(lambda each: each.streaming_kb):8.0f}"
        f"{sum(each.said['errors'] for each in rounds):8}{sum(each.said['lost'] for each in rounds):6}"
        f"{median(lambda each: each.said['share']):9.0%}"
        f"{median(lambda each: _quantile(each.said['client_late'], 99)):7.1f}"
    )


def _quantile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _say_load(when: str) -> None:
    one, five, _ = os.getloadavg()
    print(f"{when}; the machine's load average is {one:.1f} (1 minute) and {five:.1f} (5 minutes)\n", flush=True)


if __name__ == "__main__":
    main()
