from datetime import date

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


@pytest.mark.parametrize(
    ("question", "first", "end"),
    [
        ("How many in the last quarter of 2025?", "2025-10-01", "2026-01-01"),
        ("How many in the 1st quarter of the year 2025?", "2025-01-01", "2025-04-01"),
        ("Revenue, third quarter 2024", "2024-07-01", "2024-10-01"),
        ("Q2 2025", "2025-04-01", "2025-07-01"),
        ("2025-Q4", "2025-10-01", "2026-01-01"),
        ("Purchases in the second half of 2025", "2025-07-01", "2026-01-01"),
        ("H1 of 2025", "2025-01-01", "2025-07-01"),
    ],
)
def test_a_part_of_a_year_has_its_days(question: str, first: str, end: str) -> None:
    assert periods.spoken_of(question) == (date.fromisoformat(first), date.fromisoformat(end))


@pytest.mark.parametrize(
    "question",
    [
        "How many in the last quarter?",
        "Revenue of each quarter of 2025",
        "The first quarter of 2025 against the second quarter of 2025",
        "The first quarter of 2025 and 2024",
        "The first quarter of the fiscal year 2025",
        "Q1 2025 and March 2025",
        "The third half of 2025",
        "H3 2025",
        "Spring 2025",
        "In 2025",
        "",
    ],
)
def test_what_may_be_another_time_has_none(question: str) -> None:
    assert periods.spoken_of(question) is None


QUESTION = "How many purchases were cancelled in the last quarter of 2025?"
QUARTER = "p.purchased_at >= '2025-10-01' AND p.purchased_at < '2026-01-01'"


@pytest.mark.parametrize(
    "condition",
    [
        "p.purchased_at >= '2025-03-01' AND p.purchased_at < '2025-04-01'",
        "p.purchased_at >= '2025-09-01' AND p.purchased_at <= '2025-12-15'",
        "p.purchased_at BETWEEN '2025-09-30' AND '2025-12-15'",
    ],
)
def test_a_period_is_that_of_the_question(condition: str) -> None:
    sql, notes = rewritten(f"{SELECT} {condition} AND p.quantity > 0", lambda tree: periods.correct(tree, QUESTION))
    assert sql.replace("(p", "p").replace("')", "'") == written(f"{SELECT} {QUARTER} AND p.quantity > 0")
    assert notes == ["The period is from 2025-10-01 to 2025-12-31 now."]


@pytest.mark.parametrize(
    ("condition", "question"),
    [
        (QUARTER, QUESTION),
        ("p.purchased_at >= '2025-03-01' AND p.purchased_at < '2025-04-01'", "How many purchases in March 2025?"),
        ("p.purchased_at < '2025-03-01' OR p.purchased_at >= '2025-04-01'", QUESTION),
        ("p.purchased_at >= '2025-03-01'", QUESTION),
        ("p.purchased_at >= '2025-03-01' AND p.purchased_at > '2025-04-01'", QUESTION),
        ("extract(quarter FROM p.purchased_at) = 4 AND extract(year FROM p.purchased_at) = 2025", QUESTION),
        (
            "p.purchased_at >= '2025-03-01' AND p.purchased_at < '2025-04-01' AND p.user_id IN "
            "(SELECT id FROM analytics_users WHERE signed_up_at >= '2025-10-01')",
            QUESTION,
        ),
    ],
)
def test_a_period_that_is_right_or_not_clear_stays(condition: str, question: str) -> None:
    sql = f"{SELECT} {condition}"
    assert rewritten(sql, lambda tree: periods.correct(tree, question)) == (written(sql), [])


def test_the_last_day_of_a_part_of_a_year_may_be_named_where_days_are_compared() -> None:
    select = "SELECT name FROM analytics_product_specs WHERE release_date"
    right = f"{select} BETWEEN '2025-10-01' AND '2025-12-31'"
    assert rewritten(right, lambda tree: periods.correct(tree, QUESTION)) == (written(right), [])
    sql, notes = rewritten(
        f"{select} BETWEEN '2025-09-01' AND '2025-12-31'", lambda tree: periods.correct(tree, QUESTION)
    )
    assert sql == written(f"{select} >= '2025-10-01' AND release_date < '2026-01-01'")
    assert len(notes) == 1


def test_a_day_is_not_a_moment() -> None:
    sql = "SELECT name FROM analytics_product_specs WHERE release_date BETWEEN '2025-01-01' AND '2025-12-31'"
    assert corrected(sql) == (written(sql), [])


def test_the_analysts_queries_are_left_alone() -> None:
    for statement in legitimate():
        assert corrected(statement.sql)[1] == [], statement.sql
