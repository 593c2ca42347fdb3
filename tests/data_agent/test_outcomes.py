import uuid
from typing import Any

import pytest
from channels.db import database_sync_to_async

from data_agent import audit, execution, outcomes, proposals, steps
from data_agent.audit import Person
from data_agent.demo_data import DemoData
from data_agent.errors import NotDecidable
from data_agent.models import AnalyticsUser, AuditEvent, State, Step
from data_agent.step_data import MAX_PARTS, StepData

pytestmark = pytest.mark.usefixtures("analytics")


async def approve_and_run(person: Person, step: Step) -> Step:
    await proposals.approve(person, step.pk, step.sql_sha256)
    return await outcomes.run(person, step.pk)


@database_sync_to_async
def events(session: uuid.UUID) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(session_id=session).order_by("id"))


async def kinds(step: Step) -> list[str]:
    return [event.kind for event in await events(step.session_id)]


async def test_a_question_can_take_several_queries_each_approved_on_its_own(person: Person) -> None:
    first = await proposals.propose(person, "agent:steps")
    ran = await approve_and_run(person, first)
    before, second = await outcomes.conclude(person, ran.pk)
    assert (before.state, before.answer) == (State.CONTINUED, "")
    assert (second.state, second.thread, second.part, second.question) == (State.PROPOSED, first.pk, 2, "agent:steps")
    assert second.sql_sha256 != first.sql_sha256
    with pytest.raises(NotDecidable):
        await outcomes.run(person, second.pk)
    ran = await approve_and_run(person, second)
    (last,) = await outcomes.conclude(person, ran.pk)
    assert (last.state, last.answer_source) == (State.ANSWERED, "model")
    assert await kinds(first) == [*(["proposed", "approved", "executed"] * 2), "answered"]
    # Each number says from which step it is.
    parts = [part for part in StepData.of(last, person).answer_parts if part.number]
    assert [(part.text, part.step, part.row) for part in parts] == [("200", first.pk, 0)]
    assert "".join(part.text for part in StepData.of(last, person).answer_parts) == last.answer


async def test_a_question_has_at_most_seven_steps(person: Person) -> None:
    step = await proposals.propose(person, "agent:steps")
    await database_sync_to_async(Step.objects.filter(pk=step.pk).update)(part=MAX_PARTS)
    ran = await approve_and_run(person, step)
    (last,) = await outcomes.conclude(person, ran.pk)
    assert last.state == State.ANSWERED


async def test_the_model_may_ask_before_it_writes_a_query(person: Person) -> None:
    asking = await proposals.propose(person, "agent:asks")
    assert (asking.state, asking.clarification, asking.sql) == (State.ASKING, "Of which plan?", "")
    replied = await proposals.reply(person, asking.pk, "pro")
    assert (replied.state, replied.reply) == (State.REPLIED, "pro")
    step = await proposals.propose(person, replied.question, after=replied)
    assert (step.state, step.part, step.thread) == (State.PROPOSED, 2, asking.pk)
    assert "plan = 'pro'" in step.sql
    with pytest.raises(NotDecidable):
        await proposals.reply(person, asking.pk, "free")
    assert await kinds(asking) == ["asked", "replied", "proposed"]


async def test_the_model_may_ask_after_a_result_and_the_question_can_be_left_alone(person: Person) -> None:
    ran = await approve_and_run(person, await proposals.propose(person, "agent:wonders"))
    _, asking = await outcomes.conclude(person, ran.pk)
    assert (asking.state, asking.clarification) == (State.ASKING, "Do you mean customers or purchases?")
    assert (await proposals.skip(person, asking.pk)).state == State.SKIPPED


async def test_what_fails_in_the_database_brings_a_repaired_query_that_waits_for_a_person(person: Person) -> None:
    step = await proposals.propose(person, "agent:zero")
    failed = await approve_and_run(person, step)
    assert (failed.state, failed.error) == (State.FAILED, "PostgreSQL: division by zero.")
    assert outcomes.can_mend(failed)
    mended = await outcomes.mend(person, failed)
    assert (mended.state, mended.thread, mended.part) == (State.PROPOSED, step.pk, 2)
    assert "nullif" in mended.sql.lower()
    ran = await approve_and_run(person, mended)
    assert ran.rows == [[None]]
    assert await kinds(step) == ["proposed", "approved", "failed", "proposed", "approved", "executed"]


async def test_a_query_that_a_person_wrote_is_not_repaired_by_the_model(person: Person) -> None:
    step = await proposals.propose(person, "agent:zero")
    edited = await proposals.edit(person, step.pk, "SELECT 1 / (id - id) FROM analytics_users LIMIT 1")
    assert not outcomes.can_mend(await approve_and_run(person, edited))


async def test_instructions_inside_a_cell_lead_to_nothing(person: Person, analytics: DemoData) -> None:
    ran = await approve_and_run(person, await proposals.propose(person, "agent:injected"))
    (step,) = await outcomes.conclude(person, ran.pk)
    assert (step.state, step.answer_source) == (State.ANSWERED, "rule")
    assert await database_sync_to_async(AnalyticsUser.objects.count)() == len(analytics.users)
    logged = await events(step.session_id)
    blocked = [event for event in logged if event.kind == "blocked"]
    assert {event.sql for event in blocked} == {"DROP TABLE analytics_users"}
    assert all("Only SELECT is allowed" in event.error for event in blocked)


async def test_an_empty_result_is_said_and_not_made_up(person: Person) -> None:
    ran = await approve_and_run(person, await proposals.propose(person, "agent:none"))
    (step,) = await outcomes.conclude(person, ran.pk)
    assert (step.answer, step.answer_source) == ("No rows match.", "rule")
    assert [column["name"] for column in step.columns] == ["country"]
    logged = await events(step.session_id)
    assert [(event.kind, event.rows) for event in logged][-2:] == [("executed", 0), ("answered", None)]


async def test_a_result_that_is_too_large_is_cut_and_says_so(person: Person) -> None:
    step = await approve_and_run(person, await proposals.propose(person, "agent:large"))
    assert step.cut
    assert 0 < len(step.rows) <= 1_000
    assert step.bytes <= 1_000_000
    (executed,) = [event for event in await events(step.session_id) if event.kind == "executed"]
    assert (executed.rows, executed.bytes) == (len(step.rows), step.bytes)


async def test_a_query_that_runs_too_long_is_ended_and_says_so(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_COST", float("inf"))
    monkeypatch.setattr(execution, "STATEMENT_SECONDS", 1)
    failed = await approve_and_run(person, await proposals.propose(person, "agent:heavy"))
    assert (failed.state, failed.rows) == (State.FAILED, [])
    assert "The query took longer than" in failed.error
    last = (await events(failed.session_id))[-1]
    assert (last.kind, last.error) == ("failed", failed.error)
    # The model has nothing better to say, so nothing is proposed.
    assert (await outcomes.mend(person, failed)).pk == failed.pk


async def test_an_approval_of_who_lost_the_right_to_personal_data_is_void(person: Person) -> None:
    trusted = Person(person.id, person.name, person.address, personal=True)
    step = await proposals.propose(trusted, "agent:emails")
    with pytest.raises(NotDecidable, match="rules for queries were changed"):
        await proposals.approve(person, step.pk, step.sql_sha256)
    await proposals.approve(trusted, step.pk, step.sql_sha256)
    ran = await outcomes.run(person, step.pk)
    assert ran.state == State.FAILED
    assert "changed after the approval" in ran.error


async def test_results_with_personal_data_are_kept_from_who_may_not_see_them(person: Person) -> None:
    trusted = Person(person.id, person.name, person.address, personal=True)
    ran = await approve_and_run(trusted, await proposals.propose(trusted, "agent:emails"))
    assert ran.personal
    assert StepData.of(ran, trusted).rows
    shown = StepData.of(ran, person)
    assert (shown.withheld, shown.rows, shown.answer, shown.chart) == (True, (), "", None)


async def test_costs_and_the_models_own_text_are_in_the_log(person: Person) -> None:
    step = await proposals.propose(person, "agent:slips")
    (proposed,) = await events(step.session_id)
    assert proposed.cost == step.estimated_cost is not None
    assert "plan = 'Pro'" in proposed.verdict["given"]
    assert proposed.verdict["given_sha256"] == audit.fingerprint(proposed.verdict["given"])


@pytest.mark.parametrize(("stage", "state"), [("propose", None), ("conclude", State.ANSWERED)])
async def test_a_stopped_model_leaves_a_trace(person: Person, stage: str, state: Any, monkeypatch: Any) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    ran = await approve_and_run(person, await proposals.propose(person, "agent:steps"))
    if stage == "propose":
        monkeypatch.setattr("data_agent.drafting.draft", never)
        with pytest.raises(KeyboardInterrupt):
            await proposals.propose(person, "agent:slow", session_id=ran.session_id)
        last = (await events(ran.session_id))[-1]
        assert (last.kind, last.question) == ("cancelled", "agent:slow")
        return
    monkeypatch.setattr("data_agent.drafting.next_step", never)
    with pytest.raises(KeyboardInterrupt):
        await outcomes.conclude(person, ran.pk)
    step = await steps.visible(person, ran.pk)
    assert (step.state, step.answer, step.answer_source) == (State.ANSWERED, "customers 200.", "rule")


async def test_only_so_many_results_of_a_person_are_kept(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "RESULTS_KEPT", 2)
    done = []
    for _ in range(3):
        ran = await approve_and_run(person, await proposals.propose(person, "agent:countries"))
        done += await outcomes.conclude(person, ran.pk)
    oldest, *newer = [await steps.visible(person, step.pk) for step in done]
    assert (oldest.rows, oldest.columns, oldest.note) == ([], [], outcomes.FORGOTTEN)
    assert oldest.answer
    assert all(step.rows for step in newer)
