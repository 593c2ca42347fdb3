"""One run: visitors ask, chaos kills, and at the end everything must be true that was promised."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.kafka_chat.faults import plan as plans
from tests.kafka_chat.faults import verdict
from tests.kafka_chat.faults.plan import Plan
from tests.kafka_chat.faults.system import Broker, System, running
from tests.kafka_chat.faults.visitors import Asked, Visitor

# Seconds that visitors wait beyond twice the time in which they ask.
_PATIENCE = 60.0


class PromiseBroken(AssertionError):
    """Something is wrong at the end; the message has the seed, what it is, and where the logs are."""


@dataclass
class Summary:
    """What happened in a run."""

    seed: int
    broker: Broker
    questions: int = 0
    answered: int = 0
    refused: int = 0
    given_up: int = 0
    sent_twice: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    worst: float = 0.0
    median: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = ", ".join(f"{number} {kind}" for kind, number in sorted(self.kills.items()) if kind != "broker")
        return (
            f"seed {self.seed:>3} {self.broker:<8}  {self.questions} questions: {self.answered} answered, "
            f"{self.refused} refused by script, {self.given_up} given up, {self.sent_twice} posted again;  "
            f"killed {kills}; {self.kills['broker']} broker restarts, "
            f"{self.crashes} crashes;  "
            f"to the answer: median {self.median:.1f} s, worst {self.worst:.1f} s;  {self.seconds:.0f} s in all"
        )


async def run(seed: int, questions: int, broker: Broker) -> Summary:
    """Run one seed. Raises PromiseBroken, and leaves the logs then."""
    plan = plans.draw(seed, questions)
    summary = Summary(seed, broker, plan.questions)
    begun = time.monotonic()
    async with running(plan.shape, broker) as system:
        await asyncio.to_thread(verdict.note_ends, system.database_url)
        deadline = time.monotonic() + plan.asking * 2 + _PATIENCE
        visitors = [Visitor(number, system.url, deadline) for number in range(len(plan.visitors))]
        async with asyncio.TaskGroup() as group:
            group.create_task(_chaos(plan, system, summary.kills))
            for visitor, asks in zip(visitors, plan.visitors, strict=True):
                group.create_task(visitor.ask_all(asks))
        asked = [one for visitor in visitors for one in visitor.asked]
        found = await outbox_problems(system)
        found += await asyncio.to_thread(verdict.problems, asked, system.database_url)
        found += [f"ended by itself: {end}" for end in system.exits]
        # librdkafka may die of SIGSEGV when a broker comes back with other topics of the same names (librdkafka #5280).
        # That is one kill more: what was promised must be true all the same, and the summary says that it happened.
        summary.crashes = len(system.crashes)
        found += [f"in the logs: {line}" for line in system.bad_lines()]
        if found:
            raise PromiseBroken(_report(summary, found, system))
    _count(summary, asked)
    summary.seconds = time.monotonic() - begun
    return summary


async def _chaos(plan: Plan, system: System, kills: Counter[str]) -> None:
    """Kill what the plan says, when it says; several may be down at once."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for act in plan.acts:
            await asyncio.sleep(max(0.0, begun + act.at - time.monotonic()))
            kills[act.kind] += 1
            group.create_task(system.kill(act.kind, act.pick, act.down))


async def outbox_problems(system: System, seconds: float = 60) -> list[str]:
    """Wait until the outbox is empty; returns a line where it does not become so."""
    deadline = time.monotonic() + seconds
    while unsent := await asyncio.to_thread(verdict.unsent, system.database_url):
        if time.monotonic() > deadline:
            return [f"{unsent} entries are still in the outbox"]
        await asyncio.sleep(0.2)
    return []


def _count(summary: Summary, asked: list[Asked]) -> None:
    summary.answered = sum(one.end["status"] == "answered" for one in asked)
    summary.refused = sum(one.ask.answer is None for one in asked if one.end["status"] == "failed")
    summary.given_up = len(asked) - summary.answered - summary.refused
    summary.sent_twice = sum(one.posts > 1 for one in asked)
    took = sorted(one.took for one in asked)
    summary.median, summary.worst = took[len(took) // 2], took[-1]


def _report(summary: Summary, found: list[str], system: System) -> str:
    lines = [f"seed {summary.seed} on {summary.broker}: {len(found)} promises broken; logs in {system.folder}", *found]
    return "\n  ".join(lines[:40] + ([f"... and {len(lines) - 40} more"] if len(lines) > 40 else []))


__all__ = ["PromiseBroken", "Summary", "outbox_problems", "run"]
