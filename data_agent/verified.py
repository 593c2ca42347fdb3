"""Questions whose SQL staff wrote and checked: examples for the model, and what stands in where it fails.

Nearness is an overlap of words in which rare words count more. It is small, explains itself and needs no model.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("verified_questions.json")

# Below this the nearest question has nothing to do with what was asked.
NEAR = 0.3

_FREQUENT = """
a all an and any are as at be been by can did do does each every for from give had has have how i in is it list made
many me most much my of on our per please show tell than that the their there these they this those to top was we were
what when where which who with you
"""
_STOP_WORDS = frozenset(_FREQUENT.split())
# Words that say the same here, in their shortened forms.
_SAME = {
    "user": "customer",
    "client": "customer",
    "buyer": "customer",
    "people": "customer",
    "sale": "revenue",
    "turnover": "revenue",
    "income": "revenue",
    "order": "purchase",
    "item": "product",
    "subscription": "plan",
    "nation": "country",
    "spend": "spent",
    "spender": "spent",
    "spending": "spent",
    "selling": "sold",
    "mean": "average",
    "monthly": "month",
    "yearly": "year",
    "annual": "year",
    "signup": "sign",
    "signed": "sign",
    "registered": "sign",
    "newest": "recently",
    "latest": "recently",
    "expensive": "price",
    "ram": "memory",
    "bestselling": "sold",
    "refund": "refunded",
}


@dataclass(frozen=True, slots=True)
class Verified:
    """A question, its query, and the query in plain words."""

    question: str
    sql: str
    explanation: str


@cache
def questions() -> tuple[Verified, ...]:
    """Return all verified questions."""
    return tuple(Verified(**entry) for entry in json.loads(_FILE.read_text(encoding="utf-8")))


def nearest(question: str, count: int) -> list[Verified]:
    """Return the `count` verified questions that are nearest, the nearest first."""
    return [entry for _, entry in _ranked(question)[:count]]


def stand_in(question: str, without: Collection[str] = ()) -> Verified | None:
    """Return the nearest verified question if it is near enough, leaving out those whose question is in `without`."""
    for similarity, entry in _ranked(question):
        if similarity < NEAR:
            return None
        if entry.question not in without:
            return entry
    return None


def _ranked(question: str) -> list[tuple[float, Verified]]:
    asked = _tokens(question)
    scored = [(_similarity(asked, _tokens(entry.question)), entry) for entry in questions()]
    # Stable, so that equal ones keep the file's order.
    return sorted(scored, key=lambda pair: -pair[0])


def _similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the weighted Dice coefficient, from 0 to 1."""
    total = sum(map(_weight, left)) + sum(map(_weight, right))
    return 2 * sum(map(_weight, left & right)) / total if total else 0.0


def _weight(token: str) -> float:
    counts = _counts()
    return 1 + math.log(len(questions()) / (1 + counts[token]))


@cache
def _counts() -> Counter[str]:
    return Counter(token for entry in questions() for token in _tokens(entry.question))


def _tokens(text: str) -> frozenset[str]:
    words = re.findall(r"[^\W_]+", text.lower())
    return frozenset(_SAME.get(stem, stem) for word in words if word not in _STOP_WORDS and (stem := _stem(word)))


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word
