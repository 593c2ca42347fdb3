"""What PostgreSQL is asked is counted, by whichever way it is asked, and for whom."""

import asyncio

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import Group
from django.db import connection
from psycopg.sql import SQL, Composed, Identifier

from config import database
from config.observability import counting
from config.observability.counting import Counted, kind_of
from kafka_chat.gathering import Gathering

_GROUPS = "SELECT name FROM auth_group"
_RENAME = "UPDATE auth_group SET name = name WHERE id < 0 RETURNING id"


def _execute(statement: Composed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (_GROUPS, "read"),
        ("\n  SELECT a\n  FROM b", "read"),
        (_RENAME, "write"),
        ("WITH made AS (INSERT INTO a VALUES (1) RETURNING id) SELECT id FROM made", "write"),
        ("delete from a", "write"),
        ("SELECT id FROM a FOR UPDATE SKIP LOCKED", "read"),
        ("SELECT pg_notify(%s, '')", "other"),
        ("BEGIN", "other"),
        ('SAVEPOINT "a"', "other"),
    ],
)
def test_a_statement_is_a_read_a_write_or_neither(statement: str, kind: str) -> None:
    assert kind_of(statement) == kind


@pytest.mark.django_db(transaction=True)
async def test_statements_count_whichever_way_they_go_and_for_the_innermost_alone() -> None:
    with counting.counting() as outer:
        with counting.counting() as inner:
            await database.rows(_GROUPS, [])
            await asyncio.gather(database.rows(_GROUPS, []), database.rows(_RENAME, []))
            await database_sync_to_async(Group.objects.create)(name="a")
            assert await database_sync_to_async(Group.objects.count)() == 1
            await database_sync_to_async(_execute)(SQL("SELECT count(*) FROM {}").format(Identifier("auth_group")))
        assert inner == Counted(reads=3, writes=2)
        await database.rows(_GROUPS, [])
    assert outer == Counted(reads=1)
    await database.rows(_GROUPS, [])
    assert outer == Counted(reads=1)


@pytest.mark.django_db(transaction=True)
async def test_who_shares_a_statement_counts_a_part_of_it() -> None:
    async def work(items: object) -> list[str]:
        await database.rows(_RENAME, [])
        return ["done"] * 4

    gathering = Gathering(work)  # type: ignore[arg-type]

    async def ask() -> Counted:
        with counting.counting() as counted:
            await gathering.ask(None)
        return counted

    assert await asyncio.gather(*(ask() for _ in range(4))) == [Counted(writes=0.25)] * 4
    await gathering.aclose()
