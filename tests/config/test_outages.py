"""Pages while PostgreSQL takes no connection."""

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client


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
