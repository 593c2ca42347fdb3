import postgast
import pytest

from data_agent import guard, slips

USERS = "FROM analytics_users"
BOUGHT = "FROM analytics_purchases AS p JOIN analytics_product_specs AS s ON s.name = p.product_name"


def written(sql: str) -> str:
    return postgast.deparse(postgast.parse(sql))


def corrected(sql: str, question: str = "") -> tuple[str, list[str]]:
    tree = postgast.parse(sql)
    notes = slips.correct(tree, question)
    return postgast.deparse(tree), notes


@pytest.mark.parametrize(
    "share",
    [
        "count(*) FILTER (WHERE plan = 'pro') / count(*)",
        f"count(*) * 100 / (SELECT count(*) {USERS})",
        f"(SELECT count(*) {USERS}) / count(*)",
    ],
)
def test_shares_keep_their_decimals(share: str) -> None:
    sql, notes = corrected(f"SELECT {share} AS share {USERS}")
    assert "::numeric /" in sql
    assert len(notes) == 1
    assert guard.check(sql).allowed


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 100.0 * count(*) FILTER (WHERE plan = 'pro') / count(*) {USERS}",
        "SELECT sum(total_amount) / count(*) FROM analytics_purchases",
        f"SELECT id / 10 {USERS}",
    ],
)
def test_other_divisions_are_left_alone(sql: str) -> None:
    assert corrected(sql) == (written(sql), [])


@pytest.mark.parametrize("counted", ["count(*)", "count(p.id)", "count(p.user_id)"])
def test_customers_who_bought_are_counted_once(counted: str) -> None:
    sql, notes = corrected(f"SELECT {counted} AS n {BOUGHT}", "How many pro customers bought laptops?")
    assert sql == written(f"SELECT count(DISTINCT p.user_id) AS n {BOUGHT}")
    assert notes == ["Each customer is counted once now, however often they bought."]


@pytest.mark.parametrize(
    ("sql", "question"),
    [
        (f"SELECT count(*) {BOUGHT}", "How many laptops did customers buy?"),
        (f"SELECT count(*) {BOUGHT}", "How many purchases were made by customers?"),
        (f"SELECT count(*) {USERS}", "How many customers are there?"),
        (f"SELECT count(DISTINCT p.user_id) {BOUGHT}", "How many customers bought something?"),
        (
            "SELECT count(*) FROM (SELECT user_id FROM analytics_purchases GROUP BY user_id) AS x",
            "How many customers bought something?",
        ),
    ],
)
def test_other_counts_are_left_alone(sql: str, question: str) -> None:
    assert corrected(sql, question) == (written(sql), [])
