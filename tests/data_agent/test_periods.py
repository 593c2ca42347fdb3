import pytest

from data_agent import execution, guard, periods
from data_agent.demo_data import DemoData
from tests.data_agent.corpus import legitimate
from tests.data_agent.rewriting import rewritten, written

SELECT = "SELECT count(*) FROM analytics_purchases p WHERE"
WHOLE = "p.purchased_at >= '2025-01-01' AND p.purchased_at < '2026-01-01'"


def corrected(sql: str) -> tuple[str, list[str]]:
    return rewritten(sql, periods.correct)


@pytest.mark.parametrize(
    "condition",
    [
        "p.purchased_at BETWEEN '2025-01-01' AND '2025-12-31'",
        "p.purchased_at >= '2025-01-01' AND p.purchased_at <= '2025-12-31'",
        "p.purchased_at >= '2025-01-01' AND p.purchased_at < '2025-12-31'::date",
    ],
)
async def test_a_period_ends_with_its_last_day(analytics: DemoData, condition: str) -> None:
    sql, notes = corrected(f"{SELECT} {condition} AND p.quantity > 0")
    assert sql.replace("(p", "p").replace("')", "'") == written(f"{SELECT} {WHOLE} AND p.quantity > 0")
    assert notes == ["The period ends with the end of its last day now."]
    by_year = f"{SELECT} extract(year FROM purchased_at) = 2025 AND quantity > 0"
    results = [await execution.run(guard.check(text).sql) for text in (sql, by_year)]
    assert results[0].rows == results[1].rows


@pytest.mark.parametrize(
    "condition",
    [
        WHOLE,
        "purchased_at BETWEEN '2025-01-01' AND '2025-06-15'",
        "purchased_at BETWEEN '2025-01-15' AND '2025-12-31'",
        "purchased_at NOT BETWEEN '2025-01-01' AND '2025-12-31'",
        "purchased_at < '2025-12-31'",
        "purchased_at >= '2025-01-01' OR purchased_at <= '2025-12-31'",
        "purchased_at BETWEEN '2025-01-01' AND now()",
    ],
)
def test_other_conditions_on_time_are_left_alone(condition: str) -> None:
    assert corrected(f"{SELECT} {condition}") == (written(f"{SELECT} {condition}"), [])


def test_a_day_is_not_a_moment() -> None:
    sql = "SELECT name FROM analytics_product_specs WHERE release_date BETWEEN '2025-01-01' AND '2025-12-31'"
    assert corrected(sql) == (written(sql), [])


def test_the_analysts_queries_are_left_alone() -> None:
    for statement in legitimate():
        assert corrected(statement.sql)[1] == [], statement.sql
