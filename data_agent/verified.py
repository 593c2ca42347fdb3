"""Questions whose SQL staff checked: examples for the model, and what stands in where it fails.

Some ship with the project (`verified_questions.json`); staff mark others, whose query was approved and run. Nearness is
an overlap of words in which rare words count more. It is small, explains itself and needs no model.
"""

import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from channels.db import database_sync_to_async
from django.db import transaction

from config.sentences import say
from data_agent import audit, steps
from data_agent.audit import Person
from data_agent.errors import NotAllowed, NotDecidable
from data_agent.models import State, Step, VerifiedQuestion

_FILE = Path(__file__).with_name("verified_questions.json")

# Below this the nearest question is another one: they share the subject, such as customers, and no more.
NEAR = 0.52
# More are not looked through.
MOST = 500

_RUN = (State.EXECUTED, State.CONTINUED, State.ANSWERED)

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


class Book:
    """The verified questions at one moment, to look for near ones in."""

    def __init__(self, entries: Sequence[Verified]) -> None:
        self.entries = tuple(entries)
        self._words = [_tokens(entry.question) for entry in self.entries]
        self._counts = Counter(token for words in self._words for token in words)

    def nearest(self, question: str, count: int, general: str = "") -> list[Verified]:
        """Return the `count` verified questions that are nearest, the nearest first.

        `general` is the question in other words (`samples.Known.in_general`); the words that come nearer count.
        """
        return [entry for _, entry in self._ranked(question, general)[:count]]

    def stand_in(self, question: str, without: Collection[str] = (), general: str = "") -> Verified | None:
        """Return the nearest one if it is near enough, leaving out those whose question is in `without`."""
        for similarity, entry in self._ranked(question, general):
            if similarity < NEAR:
                return None
            if entry.question not in without:
                return entry
        return None

    def _ranked(self, *phrasings: str) -> list[tuple[float, Verified]]:
        asked = [_tokens(phrasing) for phrasing in phrasings]
        scored = [
            (max(self._similarity(each, words) for each in asked), entry)
            for words, entry in zip(self._words, self.entries, strict=True)
        ]
        # Stable, so that equal ones keep their order.
        return sorted(scored, key=lambda pair: -pair[0])

    def _similarity(self, left: frozenset[str], right: frozenset[str]) -> float:
        """Return the weighted Dice coefficient, from 0 to 1."""
        total = sum(map(self._weight, left)) + sum(map(self._weight, right))
        return 2 * sum(map(self._weight, left & right)) / total if total else 0.0

    def _weight(self, token: str) -> float:
        return 1 + math.log(max(1, len(self.entries)) / (1 + self._counts[token]))


@cache
def shipped() -> tuple[Verified, ...]:
    """Return the verified questions that come with the project."""
    return tuple(Verified(**entry) for entry in json.loads(_FILE.read_text(encoding="utf-8")))


@cache
def _shipped_book() -> Book:
    return Book(shipped())


@database_sync_to_async
def book() -> Book:
    """Return all verified questions: those of staff go before those that ship."""
    rows = [Verified(row.question, row.sql, row.explanation) for row in VerifiedQuestion.objects.all()[:MOST]]
    if not rows:
        return _shipped_book()
    named = {row.question for row in rows}
    return Book([*rows, *(entry for entry in shipped() if entry.question not in named)])


@database_sync_to_async
@transaction.atomic
def mark(person: Person, step_id: uuid.UUID) -> Step:
    """Keep a step's question and query as verified, in place of what was kept for the same question.

    Raises NotAllowed for who is not staff, NotFound, and NotDecidable where the query was not approved and run.
    """
    step = _for_staff(person, step_id)
    if step.state not in _RUN:
        raise NotDecidable(say("Only a question whose query was approved and has run can be marked as verified."))
    VerifiedQuestion.objects.update_or_create(
        question=step.question,
        defaults={"sql": step.sql, "explanation": step.explanation, "step": step, "verified_by_id": person.id},
    )
    audit.record_step("verified", person, step)
    return steps.own(person, step_id)


@database_sync_to_async
@transaction.atomic
def unmark(person: Person, step_id: uuid.UUID) -> Step:
    """Take that back. Raises NotAllowed for who is not staff, and NotFound."""
    step = _for_staff(person, step_id)
    if VerifiedQuestion.objects.filter(step=step).delete()[0]:
        audit.record_step("unverified", person, step)
    return steps.own(person, step_id)


def _for_staff(person: Person, step_id: uuid.UUID) -> Step:
    if not person.staff:
        raise NotAllowed(say("Only staff can mark a question as verified. Ask an administrator."))
    return steps.own(person, step_id)


def _tokens(text: str) -> frozenset[str]:
    words = re.findall(r"[^\W_]+", text.lower())
    return frozenset(_SAME.get(stem, stem) for word in words if word not in _STOP_WORDS and (stem := _stem(word)))


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word
