import pytest

from data_agent import execution, guard, joins
from data_agent.demo_data import DemoData

JAPAN = (
    "SELECT sum(total_amount) FROM analytics_purchases JOIN analytics_users ON analytics_users.id = "
    "analytics_purchases.user_id WHERE status = 'completed' AND country = 'Japan'"
)


@pytest.mark.parametrize(
    ("sql", "right"),
    [
        ("SELECT sum(total_amount) FROM analytics_purchases WHERE status = 'completed' AND country = 'Japan'", JAPAN),
        (
            "SELECT sum(p.total_amount) FROM analytics_purchases AS p WHERE p.status = 'completed' AND "
            "p.country = 'Japan'",
            JAPAN,
        ),
        (
            "SELECT sum(p.total_amount) FROM analytics_purchases p JOIN analytics_users u ON u.id = p.user_id "
            "WHERE u.status = 'completed' AND p.country = 'Japan'",
            JAPAN,
        ),
        (
            "SELECT sum(total_amount) FROM analytics_purchases WHERE status = 'completed' AND "
            "analytics_users.country = 'Japan'",
            JAPAN,
        ),
        (
            "WITH sold AS (SELECT product_name, sum(total_amount) AS n FROM analytics_purchases p WHERE "
            "u.country = 'Japan' GROUP BY 1) SELECT category, sum(n) FROM sold JOIN analytics_product_specs s ON "
            "s.name = p.product_name GROUP BY category",
            "SELECT s.category, sum(p.total_amount) FROM analytics_purchases p JOIN analytics_users u ON u.id = "
            "p.user_id JOIN analytics_product_specs s ON s.name = p.product_name WHERE u.country = 'Japan' GROUP BY 1",
        ),
        (
            "SELECT count(*) AS pending FROM analytics_users WHERE country = 'France' AND status = 'pending'",
            "SELECT count(*) FROM analytics_purchases p JOIN analytics_users u ON u.id = p.user_id "
            "WHERE u.country = 'France' AND p.status = 'pending'",
        ),
        (
            "SELECT brand, count(id) AS n FROM analytics_purchases WHERE country = 'Japan' GROUP BY brand ORDER BY n",
            "SELECT s.brand, count(*) FROM analytics_purchases p JOIN analytics_users u ON u.id = p.user_id JOIN "
            "analytics_product_specs s ON s.name = p.product_name WHERE u.country = 'Japan' GROUP BY s.brand",
        ),
    ],
)
async def test_a_column_of_another_table_is_found_there(analytics: DemoData, sql: str, right: str) -> None:
    assert not guard.check(sql).allowed
    completed = joins.complete(sql)
    assert completed.notes
    rows = (await execution.run(guard.check(completed.sql).sql)).rows
    assert sorted(rows) == sorted((await execution.run(guard.check(right).sql)).rows)


async def test_a_name_that_is_not_there_and_a_table_that_is_not_joined_are_both_put_right(analytics: DemoData) -> None:
    text = "SELECT count(*) FROM analytics_purchases WHERE p.status = 'pending' AND country = 'Japan'"
    completed = joins.complete(text)
    assert guard.check(completed.sql).allowed
    assert completed.notes == (
        "status is now taken from analytics_purchases, which has it.",
        "analytics_users was joined, because it has country.",
    )


def test_what_was_done_is_said() -> None:
    assert joins.complete("SELECT count(*) FROM analytics_purchases WHERE brand = 'Norvik'").notes == (
        "analytics_product_specs was joined, because it has brand.",
    )


@pytest.mark.parametrize(
    "sql",
    [
        JAPAN,
        "SELECT nonsense FROM analytics_purchases",
        "SELECT u.country, sum(total_amount) FROM analytics_users u, analytics_product_specs s GROUP BY u.country",
        "SELECT * FROM analytics_purchases WHERE country = 'Japan'",
        "SELECT country FROM (SELECT * FROM analytics_purchases) AS p",
        "SELECT country FROM auth_user",
        "WITH a AS (SELECT country FROM analytics_product_specs) SELECT country FROM a",
        "SELECT a.country FROM analytics_purchases a, analytics_purchases b",
        "DELETE FROM analytics_purchases",
        "SELECT country FROM",
        "SELECT country FROM analytics_purchases; SELECT 1",
    ],
)
def test_what_is_right_or_not_clear_stays_as_it_is(sql: str) -> None:
    assert joins.complete(sql) == joins.Completed(sql)
