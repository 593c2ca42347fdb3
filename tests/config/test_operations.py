"""The operators' page: who sees which panel, and what it says when servers are away."""

import asyncio
import re
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.db import OperationalError
from django.test import AsyncClient, Client
from django.utils import timezone
from pytest_django import Settings

from config import database, operations
from config.embedded.ports import any_free
from config.observability import looking
from config.panels import Panel
from kafka_chat import backlog
from kafka_chat.models import ChatMessage, OutboxEntry, Status
from llm import breaker, budgets
from llm.budgets import Asker
from llm.ledger.calls import Ledger
from tests.llm.ledger.rows import call
from tests.operators import operator_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("look_anew")]

PAGE = "/admin/operations/"
CLOSE = "/admin/operations/circuits/close/"


def _titles(client: Client) -> list[str]:
    return [shown.panel.title for shown in client.get(PAGE).context["panels"]]


def _found(client: Client, title: str) -> object:
    (found,) = (shown.found for shown in client.get(PAGE).context["panels"] if shown.panel.title == title)
    return found


def test_everybody_sees_the_panels_of_their_permissions_and_links_to_their_lists() -> None:
    of_questions = operator_of("kafka_chat", "view_chatmessage")
    assert _titles(of_questions) == ["What waits", "Kafka", "Questions"]
    page = of_questions.get(PAGE).content.decode()
    assert "/admin/operations/dead-letters/" in page
    assert "auditevent" not in page
    # Styles and scripts in the page would be refused by its policy.
    assert 'style="' not in page
    assert ">Operations</a>" in of_questions.get("/admin/").content.decode()


def test_who_may_see_none_of_it_is_told_what_to_do() -> None:
    analyst = operator_of("data_agent", "view_step")
    assert PAGE not in analyst.get("/admin/").content.decode()
    response = analyst.get(PAGE)
    assert response.status_code == 403
    assert "permission to view questions" in response.content.decode()


def test_visitors_are_led_to_the_sign_in(client: Client) -> None:
    assert client.get(PAGE).headers["Location"].startswith("/admin/login/")
    assert client.post(CLOSE).headers["Location"].startswith("/admin/login/")


def test_it_shows_what_waits_what_failed_and_what_was_tried_again() -> None:
    operator = operator_of("kafka_chat", "view_chatmessage")
    for status, error, attempts in (
        (Status.QUEUED, "", 0),
        (Status.FAILED, "The model is away.", 3),
        (Status.FAILED, "The model is away.", 1),
    ):
        ChatMessage.objects.create(
            session_id=uuid.uuid4(), message="why?", status=status, error=error, attempts=attempts
        )
    OutboxEntry.objects.create(topic="chatbot-questions", key=b"k", value=b"{}")
    contexts = {shown.panel.title: shown.found for shown in operator.get(PAGE).context["panels"]}
    assert [number for _, number, _ in contexts["What waits"]["open"]] == [1, 0]
    assert (contexts["What waits"]["outbox"], contexts["What waits"]["late"]) == (1, False)
    ((reason, number, link),) = contexts["Questions"]["reasons"]
    assert (reason, number) == ("The model is away.", 2)
    assert operator.get(link).context["cl"].result_count == 2
    assert contexts["Questions"]["retried"] == 1
    assert operator.get(contexts["Questions"]["retried_link"]).context["cl"].result_count == 1


def test_calls_are_added_up_and_each_line_leads_to_them() -> None:
    ledger = Ledger(in_background=False)
    ledger.record(call(started_at=timezone.now()))
    ledger.flush()
    operator = operator_of("llm", "view_call")
    found = _found(operator, "Model calls and their cost")
    assert isinstance(found, dict)
    assert found["summary"]["everything"].calls == "1"
    for table in found["summary"]["tables"]:
        for line in table.lines:
            assert operator.get(line.link).context["cl"].result_count == 1


def test_in_german_it_has_german_headings_and_drawings_with_points() -> None:
    ledger = Ledger(in_background=False)
    for days in (0, 1):
        ledger.record(call(started_at=timezone.now() - timedelta(days=days)))
    ledger.flush()
    page = operator_of("llm", "view_call").get(PAGE, headers={"Accept-Language": "de"}).content.decode()
    headings = re.findall(r'<h2 id="panel-\d+">([^<]*)</h2>', page)
    assert headings == ["Circuit-Breaker", "Budgets", "Modellaufrufe und ihre Kosten"]
    assert "Die letzten 30 Tage, UTC." in page
    bars = re.findall(r'<rect class="calls-bar" x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)">', page)
    assert bars
    assert [measure for bar in bars for measure in bar if not re.fullmatch(r"\d+\.\d+", measure)] == []


def test_what_is_used_stands_beside_each_limit() -> None:
    async_to_sync(budgets.reserve)(Asker(f"session-{uuid.uuid4()}", "address"), str(uuid.uuid4()), 10)
    operator = operator_of("llm", "view_call")
    assert " of 1,000</td>" in operator.get(PAGE).content.decode()
    found = _found(operator, "Budgets")
    assert isinstance(found, dict)
    whom, asked, cells = found["limits"][0]
    assert whom == "anonymous session"
    assert asked >= 1
    assert [limit for _, limit, _ in cells] == ["1,000", "10,000", "1,000,000,000"]
    assert found["limits"][-1][2] == [("", "no limit", False)] * 3


def test_a_broker_and_a_redis_that_are_away_are_sentences(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"127.0.0.1:{any_free()}"
    settings.KAFKA_BOOTSTRAP_SERVERS = nowhere
    settings.REDIS_URL = f"redis://{nowhere}/0"
    monkeypatch.setattr(looking, "PATIENCE", 0.5)
    operator = operator_of("kafka_chat", "view_chatmessage")
    response = operator.get(PAGE)
    assert {shown.panel.title: shown.found is None for shown in response.context["panels"]} == {
        "What waits": False,
        "Kafka": True,
        "Questions": False,
    }
    assert "The broker does not answer. Questions are accepted all the same" in response.content.decode()


def test_a_database_that_does_not_answer_a_panel_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> backlog.Waiting:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(backlog, "waiting", slow)
    response = operator_of("kafka_chat", "view_chatmessage").get(PAGE)
    assert response.status_code == 200
    assert "PostgreSQL does not answer." in response.content.decode()


async def test_while_the_database_keeps_silent_a_sentence_comes_soon(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(statement: str, parameters: object) -> list[database.Row]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(database, "rows", silent)
    monkeypatch.setattr(operations, "PATIENCE", 0.01)
    for address in (PAGE, "/admin/operations/dead-letters/"):
        response = await async_client.get(address)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert "PostgreSQL does not answer" in response.content.decode()


def test_all_panels_are_begun_before_one_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def panel(name: str) -> Panel:
        return Panel(
            title=name,
            permission="llm.view_call",
            template="admin/operations/budgets.html",
            look=lambda: seen.append(f"{name} looks"),
            silence="",
            begin=lambda: seen.append(f"{name} begins"),
        )

    monkeypatch.setattr(operations, "PANELS", (panel("one"), panel("two")))
    operator_of("llm", "view_call").get(PAGE)
    assert seen == ["one begins", "two begins", "one looks", "two looks"]


class TestCircuits:
    """Closing one by hand."""

    @pytest.fixture
    def provider(self, settings: Settings) -> str:
        """A provider whose circuit is open."""
        name = f"provider-{uuid.uuid4()}"
        settings.LLM_CHAINS = {"chat": (name, f"{name}-that-is-well")}
        settings.LLM_BREAKER_FAILURES = 1

        async def fail() -> None:
            await breaker.from_settings().failed(name)

        async_to_sync(fail)()
        return name

    def test_one_that_is_open_is_shown_and_closed_with_a_note(self, provider: str) -> None:
        operator = operator_of("llm", "view_call", "change_call")
        page = operator.get(PAGE).content.decode()
        assert f"Reset the circuit of {provider}" in page
        assert f"Reset the circuit of {provider}-that-is-well" not in page
        response = operator.post(CLOSE, {"provider": provider}, follow=True)
        assert f"The circuit of {provider} is closed" in response.content.decode()
        found = _found(operator, "Circuits")
        assert isinstance(found, dict)
        assert {name: circuit.state for name, circuit in found["circuits"].items()} == {
            provider: "closed",
            f"{provider}-that-is-well": "closed",
        }
        assert LogEntry.objects.get().object_repr == f"circuit of {provider}"

    def test_who_may_only_look_closes_none(self, provider: str) -> None:
        viewer = operator_of("llm", "view_call")
        assert "Reset the circuit" not in viewer.get(PAGE).content.decode()
        assert viewer.post(CLOSE, {"provider": provider}).status_code == 403
        assert not LogEntry.objects.exists()

    def test_it_takes_a_post_and_a_provider_that_there_is(self, provider: str) -> None:
        operator = operator_of("llm", "change_call")
        assert operator.get(CLOSE, {"provider": provider}).status_code == 405
        assert operator.post(CLOSE, {"provider": "nobody"}).status_code == 400

    def test_without_redis_nothing_is_closed_and_that_is_said(self, provider: str, settings: Settings) -> None:
        settings.REDIS_URL = f"redis://127.0.0.1:{any_free()}/0"
        operator = operator_of("llm", "view_call", "change_call")
        response = operator.post(CLOSE, {"provider": provider}, follow=True)
        assert "nothing was closed" in response.content.decode()
        contexts = {shown.panel.title: shown.found for shown in operator.get(PAGE).context["panels"]}
        assert contexts["Circuits"] is None
        assert not contexts["Budgets"]["is_known"]
        assert not LogEntry.objects.exists()
