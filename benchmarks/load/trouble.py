"""What is killed, stopped and cut in a long run, and when: one thing after the other, all of it drawn from one seed.

Two at once may be more than was promised, such as a web server and Redis, which alone knows of its runs.
"""

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.kafka_chat.faults.system import System

Trouble = Literal[
    "web killed",
    "worker killed",
    "broker killed",
    "postgres stopped",
    "valkey stopped",
    "postgres cut off",
    "valkey cut off",
    "sockets cut",
]
# Killing and cutting sockets come twice as often.
TROUBLES: tuple[Trouble, ...] = (
    *("web killed", "web killed", "worker killed", "worker killed", "sockets cut", "sockets cut"),
    *("broker killed", "postgres stopped", "valkey stopped", "postgres cut off", "valkey cut off"),
)
# Seconds for which something is away, at most, and in which all has to be as before.
_DOWN = 4.0
_REST = 8.0


@dataclass(frozen=True)
class Act:
    """Some trouble so many seconds after the beginning, for `down` seconds; `pick` says which of several."""

    trouble: Trouble
    at: float
    down: float
    pick: float


def draw(seed: int, seconds: float, gap: float) -> list[Act]:
    """Draw a run: something about every `gap` seconds, every kind of trouble before one comes again so often."""
    dice = random.Random(seed)
    acts: list[Act] = []
    left: list[Trouble] = []
    at = gap * dice.uniform(0.3, 0.7)
    while at < seconds:
        left = left or dice.sample(TROUBLES, len(TROUBLES))
        acts.append(Act(left.pop(), at, dice.uniform(0.5, _DOWN), dice.random()))
        at += max(_DOWN + _REST, gap * dice.uniform(0.7, 1.3))
    return acts


async def make(
    acts: Sequence[Act],
    system: System,
    wait: Callable[[float], Awaitable[bool]],
    cut: Callable[[float], None],
    made: Counter[str],
) -> None:
    """Make this trouble, and count it, until `wait` says that it is over; `cut` cuts visitors' sockets."""
    began = time.monotonic()
    for act in acts:
        if not await wait(max(0.0, began + act.at - time.monotonic())):
            return
        made[act.trouble] += 1
        match act.trouble:
            case "web killed":
                await system.kill("web", act.pick, act.down)
            case "worker killed":
                await system.kill("worker", act.pick, act.down)
            case "broker killed":
                await system.kill("broker", act.pick, act.down)
            case "postgres stopped":
                await system.stop_server("postgres")
            case "valkey stopped":
                await system.stop_server("valkey")
            case "postgres cut off":
                await system.freeze("postgres", act.down)
            case "valkey cut off":
                await system.freeze("valkey", act.down)
            case "sockets cut":
                cut(act.pick)
