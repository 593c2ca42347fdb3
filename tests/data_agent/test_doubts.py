import pytest

from data_agent import doubts
from data_agent.samples import Known

KNOWN = Known(
    {
        "analytics_users.plan": ("enterprise", "free", "pro"),
        "analytics_product_specs.category": ("Headphones", "Laptops", "Tablets"),
    }
)


@pytest.mark.parametrize(
    ("question", "sql", "said"),
    [
        (
            "Which brands have more than 15 products?",
            "SELECT brand, sum(price) FROM s GROUP BY brand",
            "The question speaks of 15, the query does not.",
        ),
        (
            "What is the average price of tablets?",
            "SELECT avg(price) FROM s",
            "The question speaks of Tablets, the query does not: analytics_product_specs.category = 'Tablets'.",
        ),
        (
            "What was the revenue in 2025?",
            "SELECT sum(total_amount) FROM p WHERE extract(year FROM purchased_at) = 2025",
            "Revenue counts completed purchases only: status = 'completed'.",
        ),
    ],
)
def test_what_the_query_leaves_out_is_said(question: str, sql: str, said: str) -> None:
    assert doubts.about(question, sql, KNOWN) == (said,)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("How many products weigh less than 200 grams?", "SELECT count(*) FROM s WHERE weight_kg < 0.2"),
        ("Which cost more than $1,500?", "SELECT name FROM s WHERE price > 1500"),
        ("Which top 5?", "SELECT name FROM s LIMIT 5"),
        ("What was bought in March 2025?", "SELECT 1 FROM p WHERE d >= '2025-03-01' AND d < '2025-04-01'"),
        ("How many pro customers?", "SELECT count(*) FROM u WHERE plan = 'pro'"),
        ("How many are free, how many pro?", "SELECT plan, count(*) FROM u GROUP BY plan"),
        ("What amount of sales was refunded?", "SELECT sum(total_amount) FROM p"),
        ("How many laptops with 5G?", "SELECT count(*) FROM s WHERE category = 'Laptops' AND specs ->> '5g' = 'true'"),
    ],
)
def test_a_query_that_speaks_of_everything_is_not_doubted(question: str, sql: str) -> None:
    assert doubts.about(question, sql, KNOWN) == ()
