"""What a question costs PostgreSQL, over all processes: counted in the driver, whoever sends it and however."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.test import AsyncClient

from kafka_chat.worker import Role
from tests.kafka_chat.asking import ask, newcomer
from tests.kafka_chat.conftest import working

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker", "run_log")]

# What runs at intervals, however many questions there are, and what only says or sets something.
_NOT_FOR_A_QUESTION = re.compile(
    r"LISTEN|UNLISTEN|SET |SELECT pg_notify|SELECT set_config"
    r"|DELETE FROM \"kf_outbox\"|SELECT .* FROM \"kf_chatmessage\" .* FOR UPDATE SKIP LOCKED"
)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that this process sends."""
    sent: list[str] = []

    def counting(cursor: type, name: str) -> None:
        execute = getattr(cursor, name)

        def noting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            text = query.decode() if isinstance(query, bytes) else query if isinstance(query, str) else str(query)
            sent.append(" ".join(text.split()))
            return execute(self, query, *args, **kwargs)

        monkeypatch.setattr(cursor, name, noting)

    for cursor in (psycopg.Cursor, psycopg.AsyncCursor):
        for name in ("execute", "executemany"):
            counting(cursor, name)
    return sent


def _of_questions(statements: list[str]) -> Iterator[str]:
    """Yield which of them are reads and writes for questions."""
    for statement in statements:
        if not _NOT_FOR_A_QUESTION.match(statement):
            yield "write" if re.search(r"\b(INSERT INTO|UPDATE (?!SKIP)|DELETE FROM)\b", statement) else "read"


async def _answered(client: AsyncClient, text: str) -> None:
    asked = await ask(client, text)
    assert (await client.get(asked["poll_url"] + "&wait=20")).json()["status"] == "answered"


@pytest.mark.parametrize("visitors", [1, 5])
async def test_a_question_costs_one_read_and_four_writes(statements: list[str], visitors: int) -> None:
    roles: tuple[Role, ...] = ("relay", "answer", "persist")
    clients = [await newcomer() for _ in range(visitors)]
    async with working(*roles):
        await _answered(clients[0], "warm up")
        clients[0] = await newcomer()
        statements.clear()
        for turn in range(2):
            for client in clients:
                await _answered(client, f"question {turn}")
        counted = Counter(_of_questions(statements))
    questions = 2 * visitors
    assert counted["read"] <= questions, statements
    assert counted["write"] <= 4 * questions, statements
