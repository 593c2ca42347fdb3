import pytest
from django.db import connection

from data_agent import schema
from data_agent.guard import policy
from data_agent.models import PLANS, STATUSES

pytestmark = pytest.mark.django_db


def test_the_schema_is_what_the_database_has() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.relname, obj_description(c.oid, 'pg_class'), a.attname, format_type(a.atttypid, a.atttypmod),
                   col_description(c.oid, a.attnum)
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relname LIKE 'analytics\\_%%' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY c.relname, a.attnum
            """,
            [],
        )
        found = cursor.fetchall()
    described = [
        (table.name, table.comment, column.name, column.type, column.comment)
        for table in sorted(schema.TABLES, key=lambda table: table.name)
        for column in table.columns
    ]
    assert found == described


def test_the_tables_have_the_columns_that_were_agreed_in_that_order() -> None:
    assert {table.name: table.column_names for table in schema.TABLES} == {
        "analytics_users": ("id", "name", "email", "country", "plan", "signed_up_at"),
        "analytics_purchases": (
            *("id", "user_id", "product_name", "quantity", "unit_price", "total_amount", "purchased_at", "status"),
        ),
        "analytics_product_specs": (
            *("id", "name", "category", "brand", "price", "weight_kg", "rating", "release_date", "specs"),
        ),
    }


def test_comments_name_every_plan_and_status() -> None:
    assert all(plan in schema.USERS.column("plan").comment for plan in PLANS)
    assert all(status in schema.PURCHASES.column("status").comment for status in STATUSES)


def test_every_function_that_is_allowed_exists() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace")
        known = {name for (name,) in cursor.fetchall()}
    # `jsonb_agg` and its like are functions too; every and mode are aggregates: all stand in pg_proc.
    assert policy.FUNCTIONS - known == set()
    assert set(policy.TABLE_FUNCTIONS) | policy.RECORD_FUNCTIONS | policy.VOLATILE <= policy.FUNCTIONS


def test_every_function_that_may_stand_in_from_gives_the_columns_that_are_expected() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT proname, coalesce(
                     (SELECT array_agg(name ORDER BY place)
                        FROM unnest(proargnames, proargmodes) WITH ORDINALITY AS a(name, mode, place)
                       WHERE mode IN ('o', 't')), '{}')
              FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s) AND proretset
               AND NOT 'tsvector'::regtype = ANY (proargtypes::oid[])
            """,
            [sorted(policy.TABLE_FUNCTIONS)],
        )
        found = {name: tuple(columns) or None for name, columns in cursor.fetchall()}
    assert found == policy.TABLE_FUNCTIONS


def test_personal_columns_are_texts_which_a_pseudonym_can_stand_for() -> None:
    personal = [column for table in schema.TABLES for column in table.columns if column.personal]
    assert [(column.name, column.type) for column in personal] == [("name", "text"), ("email", "text")]


def test_no_allowed_function_changes_anything_or_reads_outside() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT proname FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s) AND provolatile = 'v'
            """,
            [sorted(policy.FUNCTIONS)],
        )
        assert {name for (name,) in cursor.fetchall()} == policy.VOLATILE
