"""Puts the demo data into the analytics tables."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from data_agent.demo_data import DemoData, Product, Purchase, User
from data_agent.schema import PRODUCT_SPECS, PURCHASES, USERS, Table


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows were put in, and in how many seconds."""

    users: int
    products: int
    purchases: int
    seconds: float


class NotEmpty(Exception):
    """There are rows in the analytics tables already."""


def is_empty() -> bool:
    """Whether none of the three tables has a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT (EXISTS (SELECT FROM analytics_users) OR EXISTS (SELECT FROM analytics_purchases) "
            "OR EXISTS (SELECT FROM analytics_product_specs))"
        )
        return bool(cursor.fetchone()[0])


def load(data: DemoData, *, replace: bool = False) -> Loaded:
    """Copy all rows in one transaction.

    Raises NotEmpty where there are rows already and `replace` does not say that they may go.
    """
    started = time.monotonic()
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two loads at once would otherwise both find the tables empty.
            cursor.execute("LOCK TABLE analytics_users, analytics_purchases, analytics_product_specs IN EXCLUSIVE MODE")
        if not is_empty():
            if not replace:
                raise NotEmpty
            _empty()
        _copy(USERS, User, data.users)
        _copy(PRODUCT_SPECS, Product, data.products)
        _copy(PURCHASES, Purchase, data.purchases)
    with connection.cursor() as cursor:
        # Without statistics the planner's estimates, which people are shown, would be guesses.
        cursor.execute("ANALYZE analytics_users, analytics_purchases, analytics_product_specs")
    return Loaded(len(data.users), len(data.products), len(data.purchases), time.monotonic() - started)


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE analytics_users, analytics_purchases, analytics_product_specs")


def _copy(table: Table, row_type: type[Any], rows: Sequence[Any]) -> None:
    names = [field.name for field in dataclasses.fields(row_type)]
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([getattr(row, name) for name in names])
        # Rows that are added later go on after the last number.
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"
        )
