"""Pages while PostgreSQL takes no connection, keeps silent, or has been restarted."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, close_old_connections, connection, connections
from django.test import Client

from config.postgresql import connections as bounds
from tests.servers import frozen


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


def _pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(pid)


@pytest.mark.django_db(transaction=True)
def test_after_a_restart_no_request_is_given_a_connection_of_before() -> None:
    connection.ensure_connection()
    of_before = [connection.pool.getconn() for _ in range(4)]
    for each in of_before:
        connection.pool.putconn(each)
    with connection.cursor() as cursor:
        for each in of_before:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [each.info.backend_pid])
            assert cursor.fetchone() == (True,)
    at_once = [connections.create_connection("default") for _ in range(5)]
    try:
        for each in at_once:
            with each.cursor() as cursor:
                cursor.execute("SELECT 1")
    finally:
        for each in at_once:
            each.close()


@pytest.fixture
def impatience() -> Iterator[Callable[[], None]]:
    """Set a web server's bound for an answer, but a short one, until the test ends."""
    yield lambda: bounds.give_up_after(1.0)
    bounds.give_up_after(None)


@pytest.mark.django_db(transaction=True)
def test_a_page_does_not_wait_for_a_database_that_is_frozen(client: Client, impatience: Callable[[], None]) -> None:
    client.force_login(User.objects.create_user("somebody", is_staff=True))
    pid = _pid()
    with frozen(pid):
        impatience()
        response = client.get("/data-agent/")
        bounds.give_up_after(None)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    close_old_connections()
    assert _pid() != pid


@pytest.mark.django_db(transaction=True)
def test_only_a_web_server_gives_a_statement_up(impatience: Callable[[], None]) -> None:
    connection.ensure_connection()
    impatience()
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    bounds.give_up_after(None)
    close_old_connections()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1.2)")
