"""The ORM's connections: kept, but none that the server has ended; and pages while it takes none."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient, Client


def _several(number: int) -> list[int]:
    """Have threads use so many connections of the ORM at once, and give them back; return their server processes."""
    together = threading.Barrier(number)

    def use() -> int:
        try:
            with connection.cursor() as cursor:
                together.wait(20)
                cursor.execute("SELECT pg_backend_pid()")
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as threads:
        return [used.result() for used in [threads.submit(use) for _ in range(number)]]


def _end(pids: list[int]) -> None:
    """End server processes, as a restart of PostgreSQL does."""
    with psycopg.connect(**_parameters()) as other:
        assert other.execute("SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM unnest(%s) pid", [pids])


def _parameters() -> dict[str, object]:
    names = ("dbname", "user", "password", "host", "port")
    return {name: value for name, value in connection.get_connection_params().items() if name in names}


@pytest.mark.django_db(transaction=True)
async def test_after_a_restart_of_the_database_the_first_page_is_there(async_client: AsyncClient) -> None:
    _end(_several(5))
    assert (await async_client.get("/about/")).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/about/", "/compare/", "/your-data/", "/admin/", "/data-agent/"])
def test_while_the_database_is_away_every_page_says_so(
    address: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> psycopg.Connection:
        raise psycopg.OperationalError("connection refused")

    client.force_login(User.objects.create_user("somebody", is_staff=True))
    connection.close()
    with monkeypatch.context() as away:
        away.setattr(connection.pool, "getconn", refuse)
        response = client.get(address)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert "right now. Please try again in a few seconds." in response.content.decode()
