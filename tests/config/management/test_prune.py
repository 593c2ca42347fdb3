"""What is old enough goes, the rest stays, beside whoever works with it."""

import io
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from config import pruning, visitors
from config.env import SHORTEST_RETENTION
from config.ids import first_id
from config.pruning import KINDS
from data_agent.models import Session, State, Step
from kafka_chat.models import ChatMessage as Question
from kafka_chat.models import OutboxEntry, Status
from llm import memory_store
from llm.models import Call
from llm.timelines.models import Timeline
from tests.llm.timelines.conftest import timeline
from ws_chat.models import ChatMessage as Run
from ws_chat.models import ConversationStart

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def nobody_to_ask(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """No terminal, and settings that do not depend on the defaults."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    settings.RETENTION_CHATS_DAYS, settings.RETENTION_CALLS_DAYS, settings.RETENTION_AGENT_DAYS = 40, 400, 200


def _prune(*arguments: str) -> str:
    out = io.StringIO()
    call_command("prune", *arguments, stdout=out)
    return out.getvalue()


def _id(age: timedelta) -> uuid.UUID:
    # With bits that tell the ids of one moment apart.
    return uuid.UUID(int=first_id(timezone.now() - age).int | uuid.uuid4().int & (1 << 62) - 1)


def _question(age: timedelta, status: Status = Status.ANSWERED, **fields: Any) -> Question:
    answered: datetime | None = timezone.now() - age if status in (Status.ANSWERED, Status.STOPPED) else None
    return Question.objects.create(
        message_id=_id(age), session_id=uuid.uuid4(), message="why?", status=status, answered_at=answered, **fields
    )


def _run(age: timedelta) -> Run:
    started = timezone.now() - age
    return Run.objects.create(
        run_id=_id(age), visitor_id=uuid.uuid4(), question="why?", status="done", started_at=started, total_ms=1
    )


def _call(age: timedelta) -> Call:
    return Call.objects.create(
        call_id=_id(age),
        purpose="chat",
        provider="scripted",
        model="",
        prompt_tokens=1,
        completion_tokens=1,
        estimated=False,
        started_at=timezone.now() - age,
        total_ms=1,
        outcome="stop",
        fallback=False,
    )


def _sent(age: timedelta) -> OutboxEntry:
    return OutboxEntry.objects.create(topic="t", key=b"", value=b"", sent_at=timezone.now() - age)


def _start(age: timedelta) -> ConversationStart:
    return ConversationStart.objects.create(visitor_id=uuid.uuid4(), after=_id(age))


def _analysis(age: timedelta, latest: timedelta | None = None) -> Session:
    owner, _ = User.objects.get_or_create(username="ada")
    session = Session.objects.create(id=_id(age), owner=owner, title="How many?")
    step = _id(latest or age)
    Step.objects.create(
        id=step, session=session, number=1, thread=step, state=State.ANSWERED, question="?", proposed_to=owner
    )
    return session


def _timeline(age: timedelta) -> Timeline:
    made = timeline(asked_at=timezone.now() - age)
    made.save()
    return made


MAKE: dict[str, tuple[Callable[[timedelta], Any], int]] = {
    "Kafka chat: questions and answers": (_question, 40),
    "Kafka chat: messages that were sent": (_sent, 40),
    "WebSocket chat: questions and answers": (_run, 40),
    "WebSocket chat: where conversations begin": (_start, 40),
    "Timelines of answers": (_timeline, 40),
    "Ledger of model calls": (_call, 400),
    "Data agent: conversations": (_analysis, 200),
}


def test_of_every_kind_goes_what_is_older_than_its_setting_and_no_more() -> None:
    assert set(MAKE) == {kind.name for kind in KINDS}
    old = [make(days * DAY + timedelta(minutes=1)) for make, days in MAKE.values()]
    young = [make(days * DAY - timedelta(minutes=1)) for make, days in MAKE.values()]
    said = _prune("--yes")
    assert "Deleted rows: 7.\n" in said
    for row in old:
        assert not type(row).objects.filter(pk=row.pk).exists()
    for row in young:
        assert type(row).objects.filter(pk=row.pk).exists()
    # It may be run again.
    assert "Nothing is too old" in _prune("--yes")


def test_a_dry_run_and_nobody_to_ask_delete_nothing_and_show_how_much_it_would_be(settings: Settings) -> None:
    for _ in range(3):
        _question(50 * DAY)
    settings.RETENTION_CALLS_DAYS = 0
    _call(9_000 * DAY)
    for arguments, words in ((("--dry-run",), "this was a dry run"), ((), "Add --yes")):
        said = _prune(*arguments)
        assert words in said
        lines = [line.split() for line in said.splitlines()]
        assert next(line for line in lines if line[:2] == ["Kafka", "chat:"])[-1] == "3"
        assert next(line for line in lines if line[0] == "Ledger")[4:] == ["for", "ever", "0"]
    assert "Deleted rows: 3" in _prune("--yes")
    assert Call.objects.count() == 1


def test_on_a_terminal_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    _run(50 * DAY)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert "Nothing was deleted" in _prune()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert "Deleted rows: 1" in _prune()


def test_an_open_question_stays_however_old_it_is() -> None:
    kept = {_question(900 * DAY, status).pk for status in (Status.QUEUED, Status.GENERATING)}
    for status in (Status.ANSWERED, Status.FAILED, Status.STOPPED):
        _question(900 * DAY, status)
    _prune("--yes")
    assert set(Question.objects.values_list("pk", flat=True)) == kept


def test_a_conversation_with_the_agent_is_as_old_as_its_latest_question() -> None:
    gone, kept = _analysis(900 * DAY), _analysis(900 * DAY, latest=DAY)
    _prune("--yes")
    assert list(Session.objects.values_list("pk", flat=True)) == [kept.pk]
    assert not Step.objects.filter(session_id=gone.pk).exists()


def test_what_somebody_else_holds_is_left_for_the_next_time_and_nobody_waits() -> None:
    held, free = _question(50 * DAY, Status.FAILED), _question(50 * DAY)
    with transaction.atomic():
        Question.objects.select_for_update().get(pk=held.pk)
        said = _elsewhere(lambda: _prune("--yes"))
    assert "Deleted rows: 1. In use, and left for next time: 1." in said
    assert not Question.objects.filter(pk=free.pk).exists()
    assert "Deleted rows: 1.\n" in _prune("--yes")


def test_a_run_that_is_interrupted_has_done_what_it_says_and_the_next_one_does_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(5):
        _run(50 * DAY)
    prune = pruning.prune

    def interrupted(planned: pruning.Plan) -> Any:
        for number in prune(planned, batch=2):
            yield number
            raise KeyboardInterrupt

    monkeypatch.setattr(pruning, "prune", interrupted)
    with pytest.raises(CommandError, match=r"Deleted rows: 2\. Run it again"):
        _prune("--yes")
    assert Run.objects.count() == 3
    monkeypatch.setattr(pruning, "prune", prune)
    assert "Deleted rows: 3." in _prune("--yes")


def test_old_rows_are_found_by_their_key() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        # Of so few rows PostgreSQL would read all, and sort them, as its statistics happen to be.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        for kind in KINDS:
            if kind.older_than(timezone.now()).model in (Question, Run, Call):
                plan = kind.older_than(timezone.now()).order_by("pk").explain()
                assert "_pkey" in plan, plan


def test_nothing_that_was_said_is_remembered_longer_than_its_row() -> None:
    assert visitors.COOKIE_AGE + timedelta(seconds=memory_store.TIME_TO_LIVE) < SHORTEST_RETENTION * DAY


def _elsewhere(work: Callable[[], str]) -> str:
    """Do something on another connection."""

    def run() -> str:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(timeout=30)
