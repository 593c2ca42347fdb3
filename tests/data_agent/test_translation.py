"""What is said of a query is English for the model, the row and the log, and in the reader's language on the card."""

import pytest
from channels.db import database_sync_to_async
from django.utils import translation

from data_agent import checking, drafting, prompts, proposals
from data_agent.audit import Person
from data_agent.models import AuditEvent, Step
from data_agent.protocol import Check
from data_agent.step_data import StepData
from llm.types import Message

pytestmark = pytest.mark.usefixtures("analytics")

REFUSED = "SELECT year(signed_up_at) FROM orders LIMIT 5"
ENGLISH = [
    "The table 'orders' may not be read. Did you mean analytics_users?",
    "The function year may not be used. Write extract(year FROM ...) instead.",
]
GERMAN = (
    "Die Tabelle 'orders' darf nicht gelesen werden. Meinten Sie analytics_users?",
    "Die Funktion year darf nicht benutzt werden. Schreiben Sie stattdessen extract(year FROM ...).",
)


@database_sync_to_async
def reload(step: Step) -> Step:
    return Step.objects.get(pk=step.pk)


@database_sync_to_async
def logged(step: Step) -> AuditEvent:
    return AuditEvent.objects.filter(step_id=step.pk, kind="blocked").latest("id")


async def test_a_refusal_stays_english_but_for_the_person_who_reads_it(person: Person) -> None:
    with translation.override("de"):
        step = await proposals.propose(person, "agent:countries")
        step = await proposals.edit(person, step.pk, REFUSED)
        typed = await checking.verdict(person, Check(type="check", step=step.pk, sql=REFUSED))
        asked = (Message("system", "Write SQL."), Message("user", "Orders of each year?"))
        hint = prompts.repair(asked, "", (await drafting.examine(REFUSED)).problem)[-1].content
        stored = await reload(step)
        shown = StepData.of(stored, person)
    event = await logged(step)

    assert (typed.reasons, shown.reasons) == (GERMAN, GERMAN)
    assert stored.verdict["reasons"] == event.verdict["reasons"] == ENGLISH
    assert " ".join(ENGLISH) in hint
    assert StepData.of(stored, person).reasons == tuple(ENGLISH)


async def test_a_row_from_before_sentences_were_kept_is_shown_as_it_is_stored(person: Person) -> None:
    step = await reload(await proposals.propose(person, "agent:countries"))
    step.said = None
    step.error = "The query was cancelled before its end."

    with translation.override("de"):
        shown = StepData.of(step, person)

    assert shown.warnings == ("LIMIT 100 was added.",)
    # What has no values is found by its text.
    assert shown.error == "Die Abfrage wurde vor ihrem Ende abgebrochen."
