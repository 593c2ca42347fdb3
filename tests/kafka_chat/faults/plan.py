"""What happens in a run: who asks what and when, what the scripted model says to it, what is killed and when.

All of it is drawn from one seed, so that a run can be repeated. What the operating system makes of it is its own.
"""

import random
from dataclasses import dataclass

from tests.kafka_chat.faults.system import QUICK, Kind, Shape

# Questions that one visitor asks.
_EACH = 5
# Acts of chaos for so many questions, and at least once.
_ACTS: tuple[Kind, ...] = ("answer", "answer", "relay", "persist", "web")
_PER_ACTS = 100
_PER_RESTART = 150
# Seconds in which 60 questions are asked.
_ASKING = 12.0


@dataclass(frozen=True)
class Ask:
    """A question, and what must come of it: this answer, or a failure where it is None."""

    text: str
    answer: str | None
    # Seconds of thought before it.
    pause: float
    # Whether the visitor waits for the answer before asking on.
    waits: bool


@dataclass(frozen=True)
class Act:
    """Something is killed so many seconds after the start, and started again `down` seconds later."""

    kind: Kind
    at: float
    down: float
    # Which of several processes of a kind.
    pick: float


@dataclass(frozen=True)
class Plan:
    """A run."""

    seed: int
    visitors: tuple[tuple[Ask, ...], ...]
    acts: tuple[Act, ...]
    processes: dict[Kind, int]
    scenes: tuple[dict[str, object], ...]
    # Seconds in which questions are asked and chaos acts, roughly.
    asking: float

    @property
    def questions(self) -> int:
        """How many are asked."""
        return sum(map(len, self.visitors))

    @property
    def shape(self) -> Shape:
        """The system that it happens to."""
        return Shape(name=f"faults-{self.seed}", processes=self.processes, scenes=self.scenes, settings=QUICK)


def draw(seed: int, questions: int) -> Plan:
    """Draw a run with so many questions."""
    dice = random.Random(seed)
    scenes: list[dict[str, object]] = []
    asking = _ASKING * questions / 60
    numbers = list(range(questions))
    visitors = tuple(
        tuple(_ask(dice, scenes, number, asking) for number in numbers[start : start + _EACH])
        for start in range(0, questions, _EACH)
    )
    kinds: list[Kind] = [kind for kind in _ACTS for _ in range(max(1, questions // _PER_ACTS))]
    kinds += ["broker"] * max(1, questions // _PER_RESTART)
    acts = [Act(kind, dice.uniform(0.5, asking), dice.uniform(0, 1.5), dice.random()) for kind in kinds]
    return Plan(
        seed,
        visitors,
        tuple(sorted(acts, key=lambda act: act.at)),
        {"answer": dice.choice((2, 3)), "relay": dice.choice((1, 2)), "persist": dice.choice((1, 2)), "web": 1},
        tuple(scenes),
        asking,
    )


def _ask(dice: random.Random, scenes: list[dict[str, object]], number: int, asking: float) -> Ask:
    """Draw a question, and the scene that plays for it. Its mark is in no other question's text."""
    mark = f"<question {number} of {dice.randrange(10**9)}>"
    pause, waits = dice.uniform(0, 2 * asking / _EACH), dice.random() < 0.5
    if dice.random() < 0.04:
        scenes.append({"contains": mark, "error": "refused"})
        return Ask(f"Please refuse {mark}.", None, pause, waits)
    answer = f"You asked {mark}, and " + " ".join(["word"] * dice.randrange(3, 20)) + "."
    first_ms, token_ms = dice.uniform(20, 400), dice.uniform(5, 40)
    scenes.append({"contains": mark, "answer": answer, "first_ms": first_ms, "token_ms": token_ms})
    return Ask(f"What do you say to {mark}?", answer, pause, waits)
