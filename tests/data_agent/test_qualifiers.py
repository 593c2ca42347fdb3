import pytest

from data_agent import guard, joins, qualifiers
from tests.data_agent.corpus import legitimate
from tests.data_agent.rewriting import rewritten, written

SOLD = (
    "WITH sold AS (SELECT p.product_name, sum(p.total_amount) AS revenue FROM analytics_purchases p GROUP BY 1) SELECT"
)


def corrected(sql: str) -> tuple[str, list[str]]:
    return rewritten(sql, qualifiers.correct)


@pytest.mark.parametrize(
    ("sql", "right", "owner"),
    [
        (
            f"{SOLD} p.product_name, revenue FROM sold ORDER BY p.product_name",
            f"{SOLD} sold.product_name, revenue FROM sold ORDER BY sold.product_name",
            "sold",
        ),
        (f"{SOLD} p.product_name FROM sold AS s", f"{SOLD} s.product_name FROM sold AS s", "s"),
        (
            f"{SOLD} p.product_name, c.brand FROM sold JOIN analytics_product_specs c ON c.name = p.product_name",
            f"{SOLD} sold.product_name, c.brand FROM sold JOIN analytics_product_specs c ON c.name = sold.product_name",
            "sold",
        ),
        (
            "SELECT p.product_name FROM (SELECT product_name FROM analytics_purchases) AS x",
            "SELECT x.product_name FROM (SELECT product_name FROM analytics_purchases) AS x",
            "x",
        ),
        (
            "SELECT name FROM analytics_product_specs s WHERE EXISTS (SELECT 1 FROM analytics_purchases WHERE "
            "p.product_name = s.name)",
            "SELECT name FROM analytics_product_specs s WHERE EXISTS (SELECT 1 FROM analytics_purchases WHERE "
            "analytics_purchases.product_name = s.name)",
            "analytics_purchases",
        ),
    ],
)
def test_a_name_that_is_not_there_is_that_of_the_one_that_has_the_column(sql: str, right: str, owner: str) -> None:
    assert not guard.check(sql).allowed
    changed, notes = corrected(sql)
    assert changed == written(right)
    assert notes == [f"product_name is now taken from {owner}, which has it."]
    assert guard.check(changed).allowed
    assert joins.complete(sql) == joins.Completed(changed, tuple(notes))


@pytest.mark.parametrize(
    "sql",
    [
        f"{SOLD} p.country FROM sold",
        f"{SOLD} p.product_name FROM sold JOIN sold AS other ON true",
        "WITH c AS (SELECT * FROM analytics_purchases) SELECT p.product_name FROM c",
        "SELECT p.product_name FROM generate_series(1, 2) AS x, analytics_purchases",
        "SELECT p.product_name FROM analytics_purchases AS x(a, b, c)",
        "SELECT a.product_name FROM (analytics_users u JOIN analytics_purchases p ON true) AS j",
        "SELECT product_name FROM analytics_purchases p",
        "SELECT auth.p.product_name FROM analytics_purchases",
    ],
)
def test_what_is_right_or_not_clear_stays(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


def test_the_analysts_queries_are_left_alone() -> None:
    for statement in legitimate():
        assert corrected(statement.sql)[1] == [], statement.sql
