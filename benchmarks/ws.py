"""What the WebSocket chat costs: `python -m benchmarks.ws`, about eight minutes; `--quick` for a look, about one.

Each visitor asks once and is answered with 20 words a second. A word is due when the question was sent plus 50 ms for
each word before it; how late it is says everything that was in between, and nothing of the model. Ours is the whole
chat with all that it keeps on the way: visitor, budget, chain and breaker, run log, ledger, row, markdown at the end.

Beside it, in the same minutes: a bare Starlette WebSocket on uvicorn (uvloop), and a bare Channels consumer, both on
Daphne as it comes and on our tuned one (`benchmarks.ws_peers`); and Chainlit, up to 100 streams, where it is installed
in `.cache/chainlit`: above a few hundred it falls over. The servers take turns in an order of chance.

CPU is the web process's: for 1,000 frames while all streams run, and for a question. A frame with several words, as
ours sends where it is late, counts as so many. Memory is that of 100 connections to a new server. The client is a
process of its own; how busy and how late it was itself is in the last columns: what it is late, the words seem to be.
Figures are medians of the rounds, with the smallest and the largest.
"""

import argparse
import asyncio
import io
import os
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks import ws_system, ws_tables
from benchmarks.ws_schedule import INTERVAL
from benchmarks.ws_system import CHAINLIT, OURS, STARLETTE, STOCK, TUNED, Client, Played, Server

# Seconds after which it is given up, with the rows that are there.
_LIMIT = 600.0
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
    def title(self) -> str:
        """What the tables call it."""
        return f"{self.streams:,}" if self.processes == 1 else f"{self.streams:,} on {self.processes} processes"

    @property
    def count(self) -> int:
        """The words of an answer."""
        return round((self.ramp + self.seconds + 0.5) / INTERVAL)


_FULL = (
    Level(streams=1, ramp=0, seconds=3, rounds=1, servers=(*_ALL, CHAINLIT)),
    Level(streams=100, ramp=1, seconds=3, rounds=2, servers=(*_ALL, CHAINLIT)),
    Level(streams=500, ramp=6, seconds=3, rounds=1, servers=(OURS, STARLETTE, TUNED)),
    Level(streams=1000, ramp=14, seconds=4, rounds=2, servers=(OURS, STARLETTE, TUNED)),
    Level(streams=1400, ramp=14, seconds=4, rounds=1, processes=2, servers=(OURS, TUNED)),
)
_QUICK = (
    Level(streams=100, ramp=1, seconds=3, rounds=1),
    Level(streams=500, ramp=6, seconds=3, rounds=1, servers=(OURS, TUNED)),
)
# How each server is made to load what it loads once, how its memory is measured then, and what is resumed.
_WARMING = Level(streams=10, ramp=0.2, seconds=0.5, rounds=1)
_FILLING = Level(streams=100, ramp=1, seconds=2, rounds=1)
_RESUMED = Level(streams=20, ramp=0.5, seconds=5, rounds=1)


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
        with ws_system.servers([level.count for level in (*levels, _WARMING, _FILLING, _RESUMED)]):
            import django

            django.setup()
            _say_load(f"WebSocket chat, {os.cpu_count()} cores")
            asyncio.run(_measure(levels, arguments.server))
            _say_load("At the end")
    except KeyboardInterrupt:
        sys.exit("Interrupted; everything is stopped.")
    except TimeoutError:
        sys.exit(f"Given up after {_LIMIT:.0f} s; everything is stopped.")


async def _measure(levels: Sequence[Level], only: Sequence[str] | None) -> None:
    async with asyncio.timeout(_LIMIT), AsyncExitStack() as stack:
        client = await stack.enter_async_context(ws_system.client())
        wanted = [
            (name, max(level.processes for level in levels if name in level.servers))
            for name in (*_ALL, CHAINLIT)
            if any(name in level.servers for level in levels) and (not only or name in only)
        ]
        if (CHAINLIT, 1) in wanted and not ws_system.CHAINLIT_AT.exists():
            wanted.remove((CHAINLIT, 1))
            print("Chainlit is not there: python -m venv .cache/chainlit && .cache/chainlit/bin/pip install chainlit\n")
        running = {name: await stack.enter_async_context(ws_system.serving(name, count)) for name, count in wanted}
        # While they are new: what a process had once, it does not give back.
        await _measure_memory(client, running)
        costs = [ws_tables.COSTS]
        try:
            print(ws_tables.LATENESS)
            for level in levels:
                costs += await _measure_level(client, level, running)
        finally:
            print("", *costs, "", sep="\n")
        if OURS in running:
            await _measure_resumes(client, running[OURS])


async def _measure_memory(client: Client, running: Mapping[str, Server]) -> None:
    print(ws_tables.MEMORY)
    for name, server in running.items():
        for part in (_part(server, count + 1) for count in range(len(server.ports))):
            await _play(client, part, _WARMING)
        print(ws_tables.memory(name, await _play(client, _part(server, 1), _FILLING)))
    print()


async def _measure_level(client: Client, level: Level, running: Mapping[str, Server]) -> list[str]:
    """Let the servers take turns, print how late they were, and return the rows of what it cost them."""
    played: dict[str, list[Played]] = {name: [] for name in level.servers if name in running}
    for _ in range(level.rounds):
        for name in random.sample(list(played), len(played)):
            played[name].append(await _play(client, _part(running[name], level.processes), level))
    for name, rounds in played.items():
        print(ws_tables.lateness(level.title, name, rounds))
        for said in {each.said["said"] for each in rounds if each.said["errors"]}:
            print(f"{name}, one of the errors: {said}", file=sys.stderr)
    # Of one stream it is too little to be told from the clock's steps.
    return [ws_tables.costs(level.title, name, rounds) for name, rounds in played.items() if level.streams > 1]


async def _measure_resumes(client: Client, server: Server) -> None:
    played = await _play(client, server, _RESUMED, resumes=_RESUMES)
    print(ws_tables.RESUMES)
    print(ws_tables.resumes("another process" if len(server.ports) > 1 else "the same process", played), end="\n\n")


def _part(server: Server, processes: int) -> Server:
    return Server(server.name, server.children[:processes], server.ports[:processes])


async def _play(client: Client, server: Server, level: Level, resumes: int = 0) -> Played:
    return await client.play(server, streams=level.streams, ramp=level.ramp, count=level.count, resumes=resumes)


def _say_load(when: str) -> None:
    one, five, _ = os.getloadavg()
    print(f"{when}; the machine's load average is {one:.1f} (1 minute) and {five:.1f} (5 minutes)\n", flush=True)


if __name__ == "__main__":
    main()
