"""The ledger: nothing is lost, nothing is written twice, and nobody waits for it."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import OperationalError, ProgrammingError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from config.embedded.ports import any_free
from config.env import BASE_DIR
from config.visitors import COOKIE, make_cookie
from kafka_chat.models import ChatMessage as Question
from kafka_chat.models import Status
from llm import registry
from llm.ledger import calls
from llm.ledger.calls import BATCH, Ledger
from llm.models import Call, Price
from llm.types import Message, Request
from tests.kafka_chat.asking import ask_here
from tests.kafka_chat.conftest import broker  # noqa: F401
from tests.llm.ledger.rows import NOON, call

pytestmark = pytest.mark.django_db


@pytest.fixture
def ledger() -> Ledger:
    """A ledger that writes when the test says so."""
    return Ledger(in_background=False)


@pytest.fixture
def background() -> Iterator[Ledger]:
    """A ledger with its thread, which is gone afterwards."""
    ledger = Ledger()
    yield ledger
    ledger.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "calls-ledger"]


def _until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_call_becomes_one_row(ledger: Ledger) -> None:
    Price.objects.all().delete()
    price = Price.objects.create(
        provider="openai", model="gpt-4o-mini", valid_from=NOON, prompt_usd=2, completion_usd=5
    )
    ledger.record(call(fallback=True, estimated=True, purpose="sql"))
    assert ledger.flush() == 1
    row = Call.objects.get()
    assert (row.purpose, row.provider, row.model) == ("sql", "openai", "gpt-4o-mini-2024-07-18")
    assert (row.prompt_tokens, row.completion_tokens, row.estimated) == (1000, 100, True)
    assert (row.price, row.cost) == (price, Decimal("0.0025"))
    assert (row.first_token_ms, row.total_ms, row.started_at) == (250, 1500, NOON)
    assert (row.outcome, row.fallback, row.trace_id) == ("stop", True, uuid.UUID(int=7))


def test_without_a_price_the_cost_is_unknown(ledger: Ledger) -> None:
    ledger.record(call(model="nobody-knows", first_token_seconds=None, trace_id=None, outcome="Unreachable"))
    ledger.flush()
    row = Call.objects.get()
    assert (row.cost, row.price, row.first_token_ms, row.trace_id) == (None, None, None, None)


def test_many_calls_are_one_insert(ledger: Ledger) -> None:
    for _ in range(BATCH):
        ledger.record(call())
    with CaptureQueriesContext(connection) as queries:
        assert ledger.flush() == BATCH
    statements = [query["sql"] for query in queries.captured_queries]
    (only,) = (text for text in statements if not text.startswith(("SAVEPOINT", "RELEASE")))
    assert "INSERT INTO llm_call" in only
    assert Call.objects.count() == BATCH
    assert ledger.flush() == 0


def test_a_model_name_that_cannot_be_stored_is_made_to_fit(ledger: Ledger) -> None:
    ledger.record(call(model="m\x00" + "x" * 500))
    ledger.flush()
    assert Call.objects.get().model == "m" + "x" * 127


def test_a_row_that_postgresql_never_takes_costs_no_other(ledger: Ledger) -> None:
    for tokens in (1, -1, 2**40, 2):
        ledger.record(call(prompt_tokens=tokens))
    with capture_logs() as logs:
        assert ledger.flush() == 2
    assert sorted(row.prompt_tokens for row in Call.objects.all()) == [1, 2]
    assert [line["event"] for line in logs] == ["a call was not recorded"] * 2
    assert ledger.waiting == 0


def test_too_many_calls_are_counted_and_the_first_are_kept() -> None:
    ledger = Ledger(capacity=3, in_background=False)
    for tokens in range(5):
        ledger.record(call(prompt_tokens=tokens))
    assert ledger.waiting == 3
    with capture_logs() as logs:
        ledger.flush()
    assert [row.prompt_tokens for row in Call.objects.order_by("call_id")] == [0, 1, 2]
    assert [(line["log_level"], line["calls"]) for line in logs] == [("error", 2)]


def test_a_batch_that_was_stored_without_an_answer_is_not_stored_twice(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = calls._write

    def cut(batch: list[calls.Row]) -> int:
        write(batch)
        raise OperationalError("the connection broke after COMMIT")

    ledger.record(call())
    monkeypatch.setattr(calls, "_write", cut)
    with pytest.raises(OperationalError):
        ledger.flush()
    monkeypatch.undo()
    ledger.record(call())
    assert ledger.waiting == 2
    with capture_logs() as logs:
        ledger.flush()
    assert Call.objects.count() == 2
    assert logs == []


def test_calls_wait_for_the_table(ledger: Ledger) -> None:
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    ledger.record(call())
    rename("llm_call", "llm_call_of_tomorrow")
    with pytest.raises(ProgrammingError):
        ledger.flush()
    assert ledger.waiting == 1
    rename("llm_call_of_tomorrow", "llm_call")
    assert ledger.flush() == 1


@pytest.mark.django_db(transaction=True)
async def test_every_chain_keeps_the_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ledger", ledger)
    trace = uuid.uuid4()
    await registry.chain("sql").complete(Request((Message("user", "hello"),), trace_id=trace))
    await registry.aclose()
    await sync_to_async(ledger.flush)()
    row = await Call.objects.aget()
    assert (row.purpose, row.provider, row.outcome, row.trace_id) == ("sql", "scripted", "stop", trace)
    assert row.completion_tokens > 0


@pytest.mark.django_db(transaction=True)
class TestInBackground:
    """The thread, which needs rows that all connections see."""

    @pytest.fixture
    def made(self) -> Iterator[list[BaseDatabaseWrapper]]:
        """The connections that other threads have made."""
        made: list[BaseDatabaseWrapper] = []
        here = threading.get_ident()

        def note(connection: BaseDatabaseWrapper, **about: object) -> None:
            if threading.get_ident() != here:
                made.append(connection)

        connection_created.connect(note)
        yield made
        connection_created.disconnect(note)

    def test_calls_are_stored_without_being_asked_for(self, background: Ledger) -> None:
        for _ in range(3):
            background.record(call())
        _until(lambda: Call.objects.count() == 3)

    def test_the_end_waits_for_the_last_calls(self, background: Ledger) -> None:
        background.record(call())
        background.close()
        assert Call.objects.count() == 1

    def test_calls_wait_for_postgresql(self, background: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as away:
            away.setitem(connections.settings["default"], "HOST", "127.0.0.1")
            away.setitem(connections.settings["default"], "PORT", str(any_free()))
            with capture_logs() as logs:
                background.record(call())
                _until(lambda: bool(logs))
        assert logs[0]["event"] == "calls wait for PostgreSQL"
        assert background.waiting == 1
        _until(lambda: background.waiting == 0)
        assert Call.objects.count() == 1

    def test_calls_that_follow_each_other_share_a_connection(
        self, background: Ledger, made: list[BaseDatabaseWrapper], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "_QUIET", 60)
        for number in (1, 2):
            background.record(call())
            _until(lambda number=number: Call.objects.count() == number)
        assert len(made) == 1
        background.close()
        assert made[0].connection is None

    def test_no_connection_stays_open(
        self, background: Ledger, made: list[BaseDatabaseWrapper], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "_QUIET", 0.01)
        background.record(call())
        _until(lambda: Call.objects.count() == 1)
        _until(lambda: made[0].connection is None)
        background.record(call())
        _until(lambda: Call.objects.count() == 2)

    def test_a_forked_process_has_a_ledger_of_its_own(self, background: Ledger) -> None:
        script = (
            "import os, django; django.setup()\n"
            "from llm.ledger import calls\n"
            "from tests.llm.ledger.rows import call\n"
            "calls.record(call(prompt_tokens=1))\n"
            "child = os.fork()\n"
            "calls.record(call(prompt_tokens=2 if child else 3))\n"
            "if child: os.waitpid(child, 0)\n"
        )
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], env=_environment(), cwd=BASE_DIR, timeout=60, check=False
        )
        assert ended.returncode == 0
        assert sorted(row.prompt_tokens for row in Call.objects.all()) == [1, 2, 3]


def _environment() -> dict[str, str]:
    """Settings for processes of ours that work on the test database."""
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    return {
        **os.environ,
        "DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}",
        "KAFKA_BOOTSTRAP_SERVERS": django_settings.KAFKA_BOOTSTRAP_SERVERS,
        "KAFKA_SESSION_TIMEOUT_MS": "1000",
    }


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, *arguments], cwd=BASE_DIR, env=_environment(), stderr=subprocess.DEVNULL)


def _terminate(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(30)


@pytest.mark.django_db(transaction=True)
class TestSigterm:
    """A web server and a worker that are told to stop with calls still in memory."""

    @pytest.fixture
    def address(self) -> Iterator[str]:
        """Daphne, as the site runs it."""
        port = any_free()
        web = _start("-m", "config.serving", "-v", "0", "-p", str(port), "config.asgi:application")
        self._web = web

        def alive() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
            except httpx.TransportError:
                return False

        _until(alive, 60)
        yield f"127.0.0.1:{port}"
        if web.poll() is None:
            _terminate(web)

    @pytest.mark.parametrize(
        ("question", "sign", "outcome"), [("hello", '"end"', "stop"), ("scene:slow please", '"delta"', "left")]
    )
    async def test_daphne_stores_the_call_that_just_ended_or_is_cut(
        self, address: str, question: str, sign: str, outcome: str
    ) -> None:
        headers = {"Cookie": f"{COOKIE}={make_cookie(uuid.uuid4())}", "Origin": f"http://{address}"}
        async with connect(f"ws://{address}/ws/chat/", additional_headers=headers) as socket:
            await socket.send(json.dumps({"type": "ask", "text": question}))
            async with asyncio.timeout(30):
                async for frame in socket:
                    if sign in str(frame):
                        break
            await asyncio.to_thread(_terminate, self._web)
        row = await Call.objects.aget()
        assert (row.provider, row.outcome) == ("scripted", outcome)
        assert row.trace_id

    @pytest.mark.usefixtures("broker")
    def test_a_worker_stores_the_call_of_the_last_answer(self) -> None:
        question = ask_here(uuid.uuid4(), "hello")
        worker = _start("manage.py", "kafka_worker")
        try:
            _until(lambda: Question.objects.get(pk=question.pk).status == Status.ANSWERED, 60)
        finally:
            _terminate(worker)
        row = Call.objects.get(purpose="chat")
        assert (row.provider, row.purpose, row.trace_id) == ("scripted", "chat", question.trace_id)
