"""Operators, who look after the project on the admin's pages."""

from collections.abc import Callable

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def operator_of(app: str, *permissions: str) -> Client:
    """Return the browser of somebody who may do these things (`view_call`) with an app's rows, and no others."""
    person = User.objects.create_user("operator", password="x", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label=app, codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


def steady_queries(client: Client, page: str, make: Callable[[int], object], *, few: int, many: int) -> int:
    """Return how many queries a page takes, which must be as many for many rows as for few; `make` gets 0, 1, 2, ..."""
    counts = []
    for number in (few, many):
        for index in range(number):
            make(index)
        with CaptureQueriesContext(connection) as queries:
            client.get(page)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    return counts[1]
