import pytest

from data_agent import doubts, verified
from data_agent.samples import Known, Property

PRODUCTS = "FROM analytics_product_specs"
KNOWN = Known(
    {
        "analytics_users.plan": ("enterprise", "free", "pro"),
        "analytics_product_specs.category": ("Headphones", "Laptops", "Tablets"),
        "analytics_product_specs.name": ("Norvik In Ear 3 Headphones",),
    },
    {
        "Headphones": (
            Property("type", "string", ("in-ear", "on-ear")),
            Property("noise_cancelling", "boolean"),
            Property("layout", "string", ("75%",)),
        )
    },
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
        (
            "How many pieces were bought in 2024?",
            "SELECT sum(quantity) FROM analytics_purchases",
            "The question speaks of 2024, the query does not: extract(year FROM purchased_at) = 2024.",
        ),
        (
            "Which brands were released first?",
            "SELECT name FROM analytics_product_specs",
            "The question asks for brands, the query does not: analytics_product_specs.brand.",
        ),
        (
            "How many products does each category have?",
            "SELECT s.category, count(*) FROM analytics_purchases p JOIN analytics_product_specs s ON true GROUP BY 1",
            "The question does not speak of purchases: read analytics_product_specs alone, without a condition on "
            "status.",
        ),
        (
            "Revenue per product category",
            "SELECT product_name, sum(total_amount) FROM p WHERE status = 'completed' GROUP BY 1",
            "The question asks for each category, the query does not: analytics_product_specs.category.",
        ),
        (
            "How many purchases were refunded in Q3 2025?",
            "SELECT count(*) FROM p WHERE status = 'refunded' AND extract(year FROM purchased_at) = 2025",
            "The question speaks of the time from 2025-07-01 to before 2025-10-01.",
        ),
        (
            "How many headphones have noise cancelling?",
            f"SELECT count(*) {PRODUCTS} WHERE category = 'Headphones'",
            "The question speaks of noise cancelling, the query does not: (specs ->> 'noise_cancelling')::boolean.",
        ),
        (
            "Which in-ear headphones are there?",
            f"SELECT name {PRODUCTS} WHERE category = 'Headphones'",
            "The question speaks of in-ear, the query does not: specs ->> 'type' = 'in-ear'.",
        ),
        (
            "Which buyers bought most in units?",
            "SELECT user_id FROM analytics_purchases GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
            "The question asks for pieces: sum(quantity).",
        ),
        (
            "How many sign-ups were there each quarter?",
            "SELECT extract(month FROM signed_up_at), count(*) FROM analytics_users GROUP BY 1",
            "The question speaks of each quarter: one column, date_trunc('quarter', signed_up_at)::date.",
        ),
        (
            "Which customers ordered more than 7 times?",
            "SELECT user_id FROM analytics_purchases WHERE quantity > 7",
            "7 times is a number of purchases, not their quantity: a sub-query with GROUP BY and HAVING count(*) "
            "compared with 7, and outside of it what is asked for.",
        ),
        (
            "What share of customers is on the pro plan?",
            "SELECT count(*) FROM analytics_users WHERE plan = 'pro'",
            "The question asks for a percentage: round(100.0 * count(*) FILTER (WHERE condition) / count(*), 1), and "
            "the condition nowhere else.",
        ),
        (
            "Which customers have no purchase?",
            "SELECT u.name FROM analytics_users u JOIN analytics_purchases p ON p.user_id = u.id",
            "The question asks for what there is none of: NOT EXISTS (SELECT 1 FROM the other table WHERE the key is "
            "the same).",
        ),
    ],
)
def test_what_the_query_leaves_out_is_said(question: str, sql: str, said: str) -> None:
    assert doubts.about(question, sql, KNOWN) == (said,)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("How many products weigh less than 200 grams?", f"SELECT count(*) {PRODUCTS} WHERE weight_kg < 0.2"),
        ("Which cost more than $1,500?", "SELECT name FROM s WHERE price > 1500"),
        ("Revenue by plan", "SELECT u.plan, sum(total_amount) FROM p WHERE status = 'completed' GROUP BY 1"),
        ("In Q3 2025?", "SELECT 1 FROM p WHERE extract(quarter FROM d) = 3 AND extract(year FROM d) = 2025"),
        ("Norvik In Ear 3 Headphones", f"SELECT 1 {PRODUCTS} WHERE name = 'Norvik In Ear 3 Headphones'"),
        ("Headphones above 75", f"SELECT name {PRODUCTS} WHERE category = 'Headphones' AND price > 75"),
        ("Types of in-ear headphones", f"SELECT specs ->> 'type' {PRODUCTS} WHERE category = 'Headphones'"),
        ("Which top 5?", "SELECT name FROM s LIMIT 5"),
        ("What was bought in March 2025?", "SELECT 1 FROM p WHERE d >= '2025-03-01' AND d < '2025-04-01'"),
        ("How many pro customers?", "SELECT count(*) FROM u WHERE plan = 'pro'"),
        ("How many are free, how many pro?", "SELECT plan, count(*) FROM u GROUP BY plan"),
        ("What amount of sales was refunded?", "SELECT sum(total_amount) FROM p"),
        ("How many laptops with 5G?", f"SELECT 1 {PRODUCTS} WHERE category = 'Laptops' AND specs ->> '5g' = 'true'"),
    ],
)
def test_a_query_that_speaks_of_everything_is_not_doubted(question: str, sql: str) -> None:
    assert doubts.about(question, sql, KNOWN) == ()


def test_a_question_that_goes_on_from_an_earlier_one_may_mean_its_purchases() -> None:
    question, sql = "Which brands?", "SELECT s.brand FROM analytics_purchases p JOIN analytics_product_specs s ON true"
    assert len(doubts.about(question, sql, KNOWN)) == 1
    assert doubts.about(question, sql, KNOWN, f"What sold best?\n{question}") == ()


@pytest.mark.parametrize("entry", verified.shipped(), ids=lambda entry: str(entry.question))
def test_a_verified_query_is_not_doubted(entry: verified.Verified) -> None:
    assert doubts.about(entry.question, entry.sql, KNOWN) == ()
