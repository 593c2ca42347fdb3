"""A step as a page sees it: what this person may see of it, and where its files are."""

import uuid
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from django.urls import reverse
from django.utils import timezone
from pydantic import BaseModel, ConfigDict

from config.sentences import Making
from config.translating import translated
from data_agent import charts
from data_agent.audit import Person
from data_agent.execution import ResultColumn
from data_agent.models import Step

# Steps of one question.
MAX_PARTS = 7


class Frame(BaseModel):
    """What all frames and their parts have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AnswerPart(Frame):
    """A piece of the answer. A number says where it is from: the step (its id) and its row, counted from 0.

    A number without a step is one of the question, or the count of the rows, or, if it was not `found`, one that stands
    in no result.
    """

    text: str
    number: bool = False
    found: bool = True
    step: uuid.UUID | None = None
    row: int | None = None


class ChartData(Frame):
    """The chart that a result suggests; `label` is its text for who does not see it."""

    kind: str
    label: str
    url: str


class Links(Frame):
    """Addresses of a step: itself in its conversation, and its result as files."""

    page: str
    csv: str
    json_file: str
    rows: str


class StepData(Frame):
    """A step as the page shows it. `row_count` counts the kept rows, also where `rows` leaves them out."""

    id: uuid.UUID
    session: uuid.UUID
    number: int
    # The first step of the same question, and the place in it, from 1 to at most `parts`.
    thread: uuid.UUID
    part: int
    parts: int = MAX_PARTS
    state: str
    question: str
    # What the model asks the person, in the states "asking" and "replied", and what they replied.
    clarification: str
    reply: str
    sql: str
    sha256: str
    explanation: str
    source: str
    note: str
    tables: tuple[str, ...]
    columns_read: tuple[str, ...]
    # Columns with personal data of which this person gets pseudonyms.
    masked: tuple[str, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    limit: int
    estimated_rows: int | None
    # As PostgreSQL's planner counts it: about the number of pages read one after the other.
    estimated_cost: float | None
    # Seconds, so that the visitor's clock does not matter; None for what cannot be approved.
    expires_in: float | None
    provider: str
    model: str
    fallback: bool
    reason: str
    columns: tuple[dict[str, Any], ...]
    rows: tuple[tuple[str | None, ...], ...]
    row_count: int
    # Whether the result holds personal data as it is, and whether it is kept from this person for that.
    personal: bool
    withheld: bool
    cut: bool
    duration_ms: int | None
    chart: ChartData | None
    links: Links
    answer: str
    answer_parts: tuple[AnswerPart, ...]
    answer_source: str
    error: str
    verified: bool

    @classmethod
    def of(cls, step: Step, viewer: Person, *, with_rows: bool = True) -> "StepData":
        """Return what a person may see of a row."""
        withheld = is_withheld(step, viewer)
        answer = "" if withheld else step.answer
        verdict, said = step.verdict, step.said or {}
        return cls(
            id=step.pk,
            session=step.session_id,
            number=step.number,
            thread=step.thread,
            part=step.part,
            state=step.state,
            question=step.question,
            clarification=step.clarification,
            reply=step.reply,
            sql=step.sql,
            sha256=step.sql_sha256,
            explanation=step.explanation,
            source=step.source,
            note=translated(step.note, said.get("note")),
            tables=verdict.get("tables", ()),
            columns_read=verdict.get("columns", ()),
            masked=verdict.get("masked", ()),
            reasons=_translated(verdict.get("reasons", ()), said.get("reasons", ())),
            warnings=_translated(verdict.get("warnings", ()), said.get("warnings", ())),
            limit=verdict.get("limit", 0),
            estimated_rows=step.estimated_rows,
            estimated_cost=step.estimated_cost,
            expires_in=(step.expires_at - timezone.now()).total_seconds() if step.expires_at else None,
            provider=step.provider,
            model=step.model,
            fallback=step.fallback,
            reason=step.reason,
            columns=step.columns,
            rows=step.rows if with_rows and not withheld else (),
            row_count=len(step.rows),
            personal=step.personal,
            withheld=withheld,
            cut=step.cut,
            duration_ms=step.duration_ms,
            chart=None if withheld else _chart(step),
            links=_links(step),
            answer=answer,
            answer_parts=tuple(_parts(answer, step.numbers)),
            answer_source=step.answer_source,
            error=translated(step.error, said.get("error")),
            verified=bool(getattr(step, "is_verified", False)),
        )


def is_withheld(step: Step, viewer: Person) -> bool:
    """Whether a step's result is kept from a person: a colleague with more rights ran it, or they lost theirs."""
    return step.personal and not viewer.personal


def _translated(texts: Iterable[str], kept: Iterable[Making]) -> tuple[str, ...]:
    made: Iterator[Making] = chain(kept, repeat([]))
    return tuple(translated(text, making) for text, making in zip(texts, made, strict=False))


def _chart(step: Step) -> ChartData | None:
    found = charts.suggest([ResultColumn(**column) for column in step.columns], step.rows)
    if found is None:
        return None
    return ChartData(kind=found.kind, label=found.label, url=reverse("data_agent:chart", args=[step.pk]))


def _links(step: Step) -> Links:
    return Links(
        page=reverse("data_agent:step", args=[step.pk]),
        csv=reverse("data_agent:result", args=[step.pk, "csv"]),
        json_file=reverse("data_agent:result", args=[step.pk, "json"]),
        rows=reverse("data_agent:rows", args=[step.pk]),
    )


def _parts(answer: str, numbers: list[dict[str, Any]]) -> Iterator[AnswerPart]:
    """Cut the answer into pieces, so that no reader has to count characters as we do."""
    place = 0
    for number in numbers if answer else ():
        if number["start"] > place:
            yield AnswerPart(text=answer[place : number["start"]])
        text = answer[number["start"] : number["end"]]
        # Those of older answers were all found.
        found = number.get("found", True)
        yield AnswerPart(text=text, number=True, found=found, step=number["step"], row=number["row"])
        place = number["end"]
    if answer[place:]:
        yield AnswerPart(text=answer[place:])
