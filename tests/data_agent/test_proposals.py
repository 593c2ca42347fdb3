import asyncio
import uuid
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from config import local_models
from data_agent import audit, execution, outcomes, proposals
from data_agent.audit import Person
from data_agent.demo_data import DemoData
from data_agent.errors import NotDecidable, NotFound
from data_agent.guard import policy
from data_agent.history import history
from data_agent.models import AuditEvent, Session, State, Step

pytestmark = pytest.mark.usefixtures("analytics")

COUNTRIES = "agent:countries"


@database_sync_to_async
def change(step: Step, **values: object) -> None:
    Step.objects.filter(pk=step.pk).update(**values)


@database_sync_to_async
def kinds(step: Step) -> list[str]:
    return list(AuditEvent.objects.filter(session_id=step.session_id).order_by("id").values_list("kind", flat=True))


@database_sync_to_async
def reload(step: Step) -> Step:
    return Step.objects.get(pk=step.pk)


async def test_the_good_way(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    assert (step.state, step.source, step.provider, step.model) == (State.PROPOSED, "model", "scripted", "script")
    assert step.sql.startswith("SELECT country,\n")
    assert step.sql.endswith("LIMIT 100")
    assert step.sql_sha256 == audit.fingerprint(step.sql)
    assert step.policy_version == policy.VERSION
    assert step.verdict["tables"] == ["analytics_users"]
    assert step.verdict["warnings"] == ["LIMIT 100 was added."]
    assert step.estimated_rows
    assert step.expires_at is not None
    assert timedelta(minutes=4) < step.expires_at - timezone.now() <= timedelta(minutes=5)

    step = await proposals.approve(person, step.pk, step.sql_sha256)
    assert step.state == State.APPROVED
    step = await outcomes.run(person, step.pk)
    assert step.state == State.EXECUTED
    assert [column["name"] for column in step.columns] == ["country", "customers"]
    assert step.rows[0][0] == "United States"
    (step,) = await outcomes.conclude(person, step.pk)
    assert step.state == State.ANSWERED
    assert (step.answer, step.answer_source) == ("The United States have most customers, Germany fewer.", "model")
    assert await kinds(step) == ["proposed", "approved", "executed", "answered"]
    assert (await database_sync_to_async(audit.verify)()).broken_id is None


async def test_every_event_says_who_what_and_with_which_text(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    await proposals.approve(person, step.pk, step.sql_sha256)
    step = await outcomes.run(person, step.pk)
    events = await database_sync_to_async(lambda: list(AuditEvent.objects.filter(step_id=step.pk)))()
    assert len(events) == 3
    for event in events:
        assert (event.person, event.address) == (f"{person.id} ada", "127.0.0.1")
        assert (event.question, event.sql, event.fingerprint) == (COUNTRIES, step.sql, step.sql_sha256)
    assert events[0].rows == len(step.rows)
    assert events[0].bytes > 0


async def test_of_many_approvals_at_once_one_wins(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)

    def approve() -> str:
        try:
            return asyncio.run(_approve())
        finally:
            connection.close()

    async def _approve() -> str:
        try:
            await proposals.approve(person, step.pk, step.sql_sha256)
        except NotDecidable:
            return "refused"
        return "approved"

    outcomes = await asyncio.gather(*(asyncio.to_thread(approve) for _ in range(8)))
    assert sorted(outcomes) == ["approved"] + ["refused"] * 7
    assert (await kinds(step)).count("approved") == 1


async def test_an_approval_is_used_up_by_one_run(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    with pytest.raises(NotDecidable, match="not approved"):
        await outcomes.run(person, step.pk)
    await proposals.approve(person, step.pk, step.sql_sha256)
    await outcomes.run(person, step.pk)
    with pytest.raises(NotDecidable):
        await outcomes.run(person, step.pk)
    with pytest.raises(NotDecidable, match="decided already"):
        await proposals.approve(person, step.pk, step.sql_sha256)


async def test_an_approval_of_another_text_is_refused(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    edited = await proposals.edit(person, step.pk, "SELECT plan FROM analytics_users LIMIT 5")
    assert edited.sql_sha256 != step.sql_sha256
    assert (edited.source, edited.explanation) == ("edited", "")
    with pytest.raises(NotDecidable, match="changed since you saw it"):
        await proposals.approve(person, step.pk, step.sql_sha256)
    approved = await proposals.approve(person, step.pk, edited.sql_sha256)
    ran = await outcomes.run(person, approved.pk)
    assert [column["name"] for column in ran.columns] == ["plan"]
    assert await kinds(step) == ["proposed", "edited", "approved", "executed"]


async def test_a_text_that_was_changed_behind_the_approval_is_not_run(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    await proposals.approve(person, step.pk, step.sql_sha256)
    await change(step, sql="SELECT email FROM analytics_users LIMIT 5")
    step = await outcomes.run(person, step.pk)
    assert step.state == State.FAILED
    assert "not the one that was approved" in step.error
    assert step.rows == []


async def test_what_the_guard_would_refuse_is_not_run_even_if_it_was_approved(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    await proposals.approve(person, step.pk, step.sql_sha256)
    text = "SELECT password FROM auth_user"
    await change(step, sql=text, sql_sha256=audit.fingerprint(text))
    step = await outcomes.run(person, step.pk)
    assert (step.state, step.rows) == (State.FAILED, [])
    assert "auth_user" in step.error


async def test_an_approval_comes_too_late(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    await change(step, expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotDecidable, match="too old"):
        await proposals.approve(person, step.pk, step.sql_sha256)
    assert (await reload(step)).state == State.EXPIRED
    assert await kinds(step) == ["proposed", "expired"]
    again = await proposals.edit(person, step.pk, step.sql)
    assert (again.state, again.sql, again.source, again.explanation) == (
        State.PROPOSED,
        step.sql,
        "model",
        step.explanation,
    )
    assert (await proposals.approve(person, step.pk, again.sql_sha256)).state == State.APPROVED


async def test_an_approval_under_older_rules_is_refused(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    await change(step, policy_version="0-older")
    with pytest.raises(NotDecidable, match="rules for queries were changed"):
        await proposals.approve(person, step.pk, step.sql_sha256)


async def test_nobody_else_sees_or_decides_it(person: Person, stranger: User) -> None:
    step = await proposals.propose(person, COUNTRIES)
    other = Person(stranger.pk, stranger.username)
    for attempt in (
        proposals.approve(other, step.pk, step.sql_sha256),
        proposals.edit(other, step.pk, step.sql),
        proposals.reject(other, step.pk),
        proposals.skip(other, step.pk),
        outcomes.run(other, step.pk),
        outcomes.conclude(other, step.pk),
        history(other, step.session_id),
        proposals.propose(other, "And now?", session_id=step.session_id),
        history(other, uuid.uuid4()),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await reload(step)).state == State.PROPOSED
    assert await history(other, None) == (None, [])


async def test_a_refused_edit_can_be_edited_again_but_not_approved(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    blocked = await proposals.edit(person, step.pk, "SELECT * FROM auth_user\0")
    assert blocked.state == State.BLOCKED
    assert blocked.sql == "SELECT * FROM auth_user\ufffd"
    assert blocked.verdict["reasons"]
    with pytest.raises(NotDecidable):
        await proposals.approve(person, step.pk, blocked.sql_sha256)
    repaired = await proposals.edit(person, step.pk, "SELECT count(*) FROM analytics_users")
    assert repaired.state == State.PROPOSED
    assert await kinds(step) == ["proposed", "edited", "blocked", "edited"]


async def test_an_edit_that_postgresql_objects_to_is_refused_with_its_words(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    blocked = await proposals.edit(person, step.pk, "SELECT name + 1 FROM analytics_users")
    assert blocked.state == State.BLOCKED
    (reason,) = blocked.verdict["reasons"]
    assert reason.startswith("PostgreSQL: operator does not exist: text + integer.")


async def test_rejecting_and_skipping_end_a_step(person: Person) -> None:
    rejected = await proposals.reject(person, (await proposals.propose(person, COUNTRIES)).pk, "wrong table")
    assert (rejected.state, rejected.reason) == (State.REJECTED, "wrong table")
    skipped = await proposals.skip(person, (await proposals.propose(person, COUNTRIES)).pk)
    assert skipped.state == State.SKIPPED
    for step in (rejected, skipped):
        for attempt in (
            proposals.approve(person, step.pk, step.sql_sha256),
            proposals.edit(person, step.pk, step.sql),
            proposals.reject(person, step.pk),
            proposals.skip(person, step.pk),
        ):
            with pytest.raises(NotDecidable):
                await attempt
    assert await kinds(rejected) == ["proposed", "rejected"]
    assert await kinds(skipped) == ["proposed", "skipped"]


async def test_a_query_that_fails_in_the_database_says_why(person: Person) -> None:
    step = await proposals.propose(person, COUNTRIES)
    step = await proposals.edit(person, step.pk, "SELECT 1 / (id - id) FROM analytics_users")
    await proposals.approve(person, step.pk, step.sql_sha256)
    step = await outcomes.run(person, step.pk)
    assert (step.state, step.error) == (State.FAILED, "PostgreSQL: division by zero.")
    assert (await kinds(step))[-1] == "failed"


async def test_a_cancelled_run_is_recorded(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_COST", float("inf"))
    step = await proposals.propose(person, "agent:heavy")
    await proposals.approve(person, step.pk, step.sql_sha256)
    task = asyncio.create_task(outcomes.run(person, step.pk))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    step = await reload(step)
    assert (step.state, step.error) == (State.FAILED, "The query was cancelled before its end.")
    assert (await kinds(step))[-1] == "cancelled"


async def test_a_session_comes_back_with_its_steps_in_order(person: Person) -> None:
    first = await proposals.propose(person, COUNTRIES)
    second = await proposals.propose(person, COUNTRIES, session_id=first.session_id)
    session, found = await history(person, None)
    assert isinstance(session, Session)
    assert session.title == COUNTRIES
    assert [(step.pk, step.number) for step in found] == [(first.pk, 1), (second.pk, 2)]


async def test_old_proposals_and_abandoned_runs_are_settled_when_the_session_is_shown(person: Person) -> None:
    old = await proposals.propose(person, COUNTRIES)
    await change(old, expires_at=timezone.now() - timedelta(seconds=1))
    dead = await proposals.propose(person, COUNTRIES, session_id=old.session_id)
    await proposals.approve(person, dead.pk, dead.sql_sha256)
    await change(dead, decided_at=timezone.now() - timedelta(hours=1))
    unanswered = await proposals.propose(person, COUNTRIES, session_id=old.session_id)
    await proposals.approve(person, unanswered.pk, unanswered.sql_sha256)
    await outcomes.run(person, unanswered.pk)
    await change(unanswered, decided_at=timezone.now() - timedelta(hours=1))
    _, found = await history(person, old.session_id)
    assert [step.state for step in found] == [State.EXPIRED, State.FAILED, State.ANSWERED]
    # What was run is there, so it is said, though not by the model.
    assert found[-1].answer_source == "rule"
    assert "the first: country United States" in found[-1].answer
    assert sorted((await kinds(old))[-3:]) == ["answered", "expired", "failed"]


class TestDrafting:
    async def test_an_unusable_query_is_repaired(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:repair")
        assert (step.state, step.source) == (State.PROPOSED, "model")
        assert "count(*)" in step.sql
        assert await kinds(step) == ["blocked", "proposed"]

    @pytest.mark.parametrize(
        ("marker", "why"),
        [
            ("agent:delete", "Only SELECT is allowed, not delete."),
            ("agent:nonsense", "The answer was not JSON"),
            ("agent:missing", "There is no column 'revenue' here."),
            ("agent:down", "The model cannot be reached right now."),
        ],
    )
    async def test_otherwise_the_nearest_verified_question_is_offered_and_marked(
        self, person: Person, marker: str, why: str
    ) -> None:
        step = await proposals.propose(person, f"{marker} How many customers are there in each country?")
        assert (step.state, step.source, step.provider) == (State.PROPOSED, "verified", "")
        assert step.note.startswith(f"The model's own query was not usable: {why}")
        assert step.note.endswith(
            "the nearest question that staff verified: “How many customers are there in each country?”"
        )
        assert "country" in step.sql

    async def test_without_one_the_refused_query_is_shown_with_its_reasons(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:delete everything")
        assert (step.state, step.sql) == (State.BLOCKED, "DELETE FROM analytics_users")
        assert step.verdict["reasons"] == ["Only SELECT is allowed, not delete."]
        assert "Rephrase it, or write the query" in step.note
        assert await kinds(step) == ["blocked", "blocked", "blocked"]

    async def test_with_the_small_model_the_nearest_verified_question_is_offered_as_it_stands(
        self, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local_models, "is_small", lambda purpose: purpose == "sql")
        step = await proposals.propose(person, f"{COUNTRIES} How many customers are there in each country?")
        assert (step.state, step.source, step.provider) == (State.PROPOSED, "verified", "")
        assert "small local model cannot write queries" in step.note
        await proposals.approve(person, step.pk, step.sql_sha256)
        ran = await outcomes.run(person, step.pk)
        (answered,) = await outcomes.conclude(person, ran.pk)
        assert answered.state == State.ANSWERED

    async def test_slips_in_values_are_put_right_and_said_on_the_card(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:slips")
        assert step.state == State.PROPOSED
        assert "plan = 'pro'" in step.sql
        assert "'United States'" in step.sql
        assert "'Germany'" in step.sql
        assert "“Pro” was changed to “pro”, as the data has it." in step.verdict["warnings"]

    async def test_about_a_value_that_no_row_has_the_model_is_asked_once_more(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:atlantis")
        assert "country = 'Germany'" in step.sql

    async def test_of_doubtful_queries_the_least_doubtful_one_is_proposed_with_its_doubts(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:doubtful What share joined in 2024?")
        assert (step.state, step.source) == (State.PROPOSED, "model")
        assert "AS second" in step.sql
        said = [warning for warning in step.verdict["warnings"] if warning.startswith("The question")]
        assert len(said) == 1
        assert "asks for a percentage" in said[0]

    async def test_prose_around_a_query_does_no_harm(self, person: Person) -> None:
        step = await proposals.propose(person, "agent:prose")
        assert (step.state, step.source, step.explanation) == (State.PROPOSED, "model", "Sure! This counts them:")

    async def test_a_rejected_query_is_not_proposed_again(self, person: Person, analytics: DemoData) -> None:
        question = f"{COUNTRIES} revenue in each country"
        first = await proposals.propose(person, question)
        await proposals.reject(person, first.pk, "not this one")
        rejected = await reload(first)
        second = await proposals.propose(person, question, feedback="not this one", after=rejected)
        assert (second.thread, second.part) == (first.pk, 2)
        assert second.state == State.PROPOSED
        assert second.sql != first.sql
