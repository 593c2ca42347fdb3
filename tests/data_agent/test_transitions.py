"""The transitions that go past Django's ORM: the same rows and events, and both or none of them."""

import asyncio
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.db import ProgrammingError

from config.observability.counting import counting
from data_agent import audit, outcomes, proposals, steps, transitions
from data_agent.audit import Person
from data_agent.models import AuditEvent, State, Step
from tests.measured import Since

pytestmark = pytest.mark.usefixtures("analytics")

RESULT = {
    "columns": [{"name": "país", "type": "text", "numeric": False}],
    "rows": [["日本"], [None], ['"quoted" \\ and\nbroken']],
    "bytes": 30,
    "personal": False,
    "cut": True,
    "duration_ms": 7,
}


@database_sync_to_async
def stored(step: Step) -> dict[str, Any]:
    return _fields(Step.objects.get(pk=step.pk))


def _fields(step: Step) -> dict[str, Any]:
    return {field.attname: getattr(step, field.attname) for field in Step._meta.concrete_fields}


@database_sync_to_async
def kinds(step: Step) -> list[str]:
    return list(AuditEvent.objects.filter(step_id=step.pk).order_by("id").values_list("kind", flat=True))


async def proposed(person: Person) -> Step:
    return await proposals.propose(person, "agent:countries")


async def approved(person: Person) -> Step:
    step = await proposed(person)
    return await proposals.approve(person, step.pk, step.sql_sha256)


async def test_an_approved_step_is_what_the_orm_would_read(person: Person) -> None:
    step = await approved(person)
    assert _fields(step) == await stored(step)
    assert step.state == State.APPROVED


async def test_a_result_is_kept_as_it_is(person: Person) -> None:
    step = await approved(person)
    assert await transitions.keep_result(person, step, RESULT)
    assert _fields(step) == await stored(step)
    assert step.rows == RESULT["rows"]
    assert await kinds(step) == ["proposed", "approved", "executed"]
    assert (await database_sync_to_async(audit.verify)()).broken_id is None


async def test_each_is_two_writes_and_one_read(person: Person) -> None:
    step = await proposed(person)
    with counting() as counted:
        step = await proposals.approve(person, step.pk, step.sql_sha256)
    assert (counted.writes, counted.reads) == (2, 1)
    with counting() as counted:
        assert await transitions.keep_result(person, step, RESULT)
    assert (counted.writes, counted.reads) == (2, 1)


async def test_a_result_of_a_step_that_was_given_up_is_not_kept(person: Person) -> None:
    step = await approved(person)
    await database_sync_to_async(Step.objects.filter(pk=step.pk).update)(state=State.FAILED)
    assert not await transitions.keep_result(person, step, RESULT)
    assert await kinds(step) == ["proposed", "approved"]
    assert (await stored(step))["rows"] == []


async def test_a_step_of_another_person_is_not_approved_though_it_names_this_one(
    person: Person, stranger: User
) -> None:
    step = await proposed(person)
    await database_sync_to_async(Step.objects.filter(pk=step.pk).update)(proposed_to_id=stranger.pk)
    other = Person(stranger.pk, stranger.username)
    assert await transitions.approve(other, step.pk, step.sql_sha256, step.policy_version) is None
    assert await transitions.approve(other, uuid.uuid4(), step.sql_sha256, step.policy_version) is None
    assert (await stored(step))["state"] == State.PROPOSED


async def test_where_the_event_cannot_be_written_nothing_has_happened(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, since = await proposed(person), Since()
    with monkeypatch.context() as patch, pytest.raises(ProgrammingError):
        patch.setattr(audit, "_INSERT", "INSERT INTO nothing VALUES (%s)")
        await proposals.approve(person, step.pk, step.sql_sha256)
    assert (await stored(step))["state"] == State.PROPOSED
    assert since.more("triptych_audit_events_total", kind="approved") == 0
    step = await proposals.approve(person, step.pk, step.sql_sha256)
    assert since.more("triptych_audit_events_total", kind="approved") == 1
    assert await kinds(step) == ["proposed", "approved"]


async def test_who_leaves_while_the_result_is_being_kept_leaves_an_answer_from_it(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await approved(person)
    own = steps.own

    def own_before_the_result(person: Person, step_id: uuid.UUID) -> Step:
        found = own(person, step_id)
        monkeypatch.setattr(steps, "own", own)
        async_to_sync(transitions.keep_result)(person, step, RESULT)
        return found

    monkeypatch.setattr(steps, "own", own_before_the_result)
    ended = await outcomes.end(person, step.pk)
    assert (ended.state, ended.answer_source) == (State.ANSWERED, "rule")
    assert await kinds(step) == ["proposed", "approved", "executed", "answered"]


async def test_events_past_the_orm_and_through_it_make_one_chain(person: Person) -> None:
    steps = [await proposed(person) for _ in range(5)]

    async def both(step: Step) -> None:
        await asyncio.gather(
            proposals.approve(person, step.pk, step.sql_sha256),
            database_sync_to_async(audit.record)("proposed", person, question="another"),
        )

    await asyncio.gather(*(both(step) for step in steps))
    assert (await database_sync_to_async(audit.verify)()).broken_id is None
