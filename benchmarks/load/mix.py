"""Who asks, how often, and what the scripted model says to it.

Each visitor asks a question of their own, again and again; its answer is known to the letter, and no other visitor's.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.ws_schedule import word

Kind = Literal["websocket", "kafka", "agent"]
KINDS: dict[Kind, str] = {"websocket": "WebSocket chat", "kafka": "Kafka chat", "agent": "data agent"}

# Milliseconds to the first token, and between two: 20 tokens a second.
FIRST_MS = 300.0
TOKEN_MS = 50.0
# Customers of the demo data that an analyst asks for: each question has one row, whose number is known.
_CUSTOMERS = 50
_CATEGORY = json.dumps({"category": "other", "language": "en"})


@dataclass(frozen=True, kw_only=True)
class Mix:
    """So many visitors, in shares of these weights, who think so many seconds before a question (from, to).

    Each has so many `variants` of their question, which are numbered from visitor to visitor.
    """

    visitors: int
    weights: tuple[int, int, int] = (70, 20, 10)
    think: tuple[float, float] = (20.0, 60.0)
    words: int = 60
    variants: int = 1

    def count(self, kind: Kind) -> int:
        """Return how many visitors are of a kind."""
        return list(self.kinds()).count(kind)

    def kinds(self) -> Iterator[Kind]:
        """Yield each visitor's kind; at any point the shares are kept as well as they can be."""
        counts = dict.fromkeys(KINDS, 0)
        for number in range(1, self.visitors + 1):
            wanted = {
                kind: number * weight / sum(self.weights) for kind, weight in zip(KINDS, self.weights, strict=True)
            }
            kind = max(KINDS, key=lambda kind: wanted[kind] - counts[kind])
            counts[kind] += 1
            yield kind

    def pause(self) -> float:
        """Return the seconds that a visitor thinks."""
        return random.uniform(*self.think)

    def answer(self, number: int) -> str:
        """Return what a chat says to a question with this number."""
        return f"Visitor {number:05}: " + "".join(map(word, range(self.words))).strip()

    def scenes(self) -> list[dict[str, object]]:
        """Return the script: scenes with a schema first, so that only chats look through the many of the chats."""
        scenes: list[dict[str, object]] = []
        for customers in range(1, _CUSTOMERS + 1):
            asked, answered = analysis(customers - 1)
            proposal = {"sql": _sql(customers), "explanation": "Counts them."}
            conclusion = {"action": "answer", "text": answered, "sql": ""}
            pace = {"first_ms": FIRST_MS, "token_ms": TOKEN_MS}
            scenes += [
                {"contains": f"Next for: {asked}", "schema": True, "answer": json.dumps(conclusion), **pace},
                {"contains": asked, "schema": True, "answer": json.dumps(proposal), **pace},
            ]
        scenes.append({"schema": True, "answer": _CATEGORY})
        chats = (
            number * self.variants + variant
            for number, kind in enumerate(self.kinds())
            if kind != "agent"
            for variant in range(self.variants)
        )
        return scenes + [
            {"contains": question(number), "answer": self.answer(number), "first_ms": FIRST_MS, "token_ms": TOKEN_MS}
            for number in chats
        ]


def question(number: int) -> str:
    """Return the question with this number that is asked in a chat."""
    return f"What do you say to visitor {number:05}?"


def analysis(number: int) -> tuple[str, str]:
    """Return what an analyst asks, and the answer in words."""
    customers = rows(number)[0][0]
    return f"How many of the first {customers} customers are there?", f"There are {customers} customers."


def rows(number: int) -> list[list[str]]:
    """Return the rows of an analyst's query."""
    return [[str(number % _CUSTOMERS + 1)]]


def _sql(customers: int) -> str:
    return f"SELECT count(*) AS customers FROM analytics_users WHERE id <= {customers}"


def weights(text: str) -> tuple[int, ...]:
    """Read the option of the shares."""
    shares = tuple(map(int, text.split(",")))
    if len(shares) != len(KINDS) or min(shares) < 0 or not sum(shares):
        raise argparse.ArgumentTypeError("three shares, such as 70,20,10")
    return shares


def span(text: str) -> tuple[float, ...]:
    """Read the option of the seconds that visitors think."""
    seconds = tuple(map(float, text.split(",")))
    if len(seconds) != 2 or not 0 <= seconds[0] <= seconds[1]:
        raise argparse.ArgumentTypeError("two numbers of seconds, such as 20,60")
    return seconds
