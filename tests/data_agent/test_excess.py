import pytest

from data_agent import excess, verified
from data_agent.samples import Known
from tests.data_agent.corpus import legitimate
from tests.data_agent.rewriting import rewritten, written

PURCHASES = "FROM analytics_purchases"
PRODUCTS = "analytics_product_specs s"
KNOWN = Known({"analytics_users.plan": ("free", "pro"), "analytics_product_specs.category": ("Laptops", "Tablets")})
USERS = "FROM analytics_users"


def without_excess(sql: str, said: str) -> tuple[str, list[str]]:
    return rewritten(sql, lambda tree: excess.take_out(tree, said, KNOWN))


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ("status = 'completed'", ""),
        ("p.status = 'completed' AND quantity > 2", "WHERE quantity > 2"),
        ("quantity > 2 AND status = 'completed' AND id < 9", "WHERE quantity > 2 AND id < 9"),
    ],
)
def test_purchases_of_every_status_count_where_none_is_asked_for(conditions: str, left: str) -> None:
    sql, notes = without_excess(f"SELECT count(*) {PURCHASES} p WHERE {conditions}", "How many purchases are there?")
    assert sql == written(f"SELECT count(*) {PURCHASES} p {left}")
    assert notes == ["Purchases of every status count now: the question does not ask for completed ones."]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (f"SELECT sum(total_amount) {PURCHASES} WHERE status = 'completed'", "What is the revenue?"),
        (f"SELECT sum(total_amount) {PURCHASES} WHERE status = 'completed'", "How much did customers pay?"),
        (f"SELECT sum(total_amount) {PURCHASES} WHERE status = 'completed'", "What amount did we sell purchases for?"),
        (f"SELECT avg(total_amount) {PURCHASES} WHERE status = 'completed'", "What is the average order value?"),
        (f"SELECT avg(total_amount) {PURCHASES} WHERE status = 'completed'", "What is the amount customers spent?"),
        (f"SELECT avg(total_amount) {PURCHASES} WHERE status = 'completed'", "The amount of completed purchases"),
        (f"SELECT count(*) {PURCHASES} WHERE status = 'completed'", "What is the revenue?\nAnd how many purchases?"),
        (f"SELECT count(*) {PURCHASES} WHERE status = 'completed' OR quantity > 2", "How many purchases are there?"),
        (f"SELECT count(*) {PURCHASES} WHERE status = 'pending'", "How many purchases are there?"),
        (f"SELECT count(*) {PURCHASES} WHERE status = 'completed'", ""),
    ],
)
def test_a_condition_that_may_be_meant_stays(sql: str, said: str) -> None:
    assert without_excess(sql, said) == (written(sql), [])


@pytest.mark.parametrize(
    "question",
    [
        "What's the average total amount of a purchase?",
        "Average amount per order, please",
        "What is the average purchase amount in 2025?",
    ],
)
def test_the_amount_of_a_purchase_is_that_of_any(question: str) -> None:
    sql, notes = without_excess(f"SELECT avg(total_amount) {PURCHASES} WHERE status = 'completed'", question)
    assert sql == written(f"SELECT avg(total_amount) {PURCHASES}")
    assert len(notes) == 1


@pytest.mark.parametrize(
    "question", ["How many products with a rating above 4 are in each category?", "How many good tablets are there?"]
)
@pytest.mark.parametrize(
    "joined",
    [
        f"{PURCHASES} p JOIN {PRODUCTS} ON s.name = p.product_name",
        f"FROM {PRODUCTS} JOIN analytics_purchases p ON true",
    ],
)
def test_purchases_that_nobody_speaks_of_are_not_read(joined: str, question: str) -> None:
    sql, notes = without_excess(
        f"SELECT s.category, count(*) AS n {joined} WHERE rating > 4 GROUP BY s.category ORDER BY n",
        question,
    )
    assert sql == written(
        f"SELECT s.category, count(*) AS n FROM {PRODUCTS} WHERE rating > 4 GROUP BY s.category ORDER BY n"
    )
    assert notes == ["analytics_purchases was taken out: the question does not speak of purchases."]


AVERAGE = "SELECT s.category, round(avg(price), 2) AS average"


@pytest.mark.parametrize("question", ["What is the average price per product category?", "The mean price of a brand"])
@pytest.mark.parametrize(
    "joined",
    [
        f"FROM {PRODUCTS} JOIN analytics_purchases p ON s.name = p.product_name",
        f"FROM {PRODUCTS} LEFT JOIN analytics_purchases p ON s.name = p.product_name",
    ],
)
def test_purchases_that_only_multiply_are_not_read(joined: str, question: str) -> None:
    sql, notes = without_excess(f"{AVERAGE} {joined} GROUP BY s.category", question)
    assert sql == written(f"{AVERAGE} FROM {PRODUCTS} GROUP BY s.category")
    assert notes == ["analytics_purchases was taken out: the question does not speak of purchases."]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        # What is counted may be purchases.
        ("s.category, count(*)", "Top 5 product categories by number"),
        ("s.category, count(s.id)", "Top 5 product categories by number"),
        ("s.category, avg(price)", "What is the average price of the products that customers own?"),
        ("s.category, avg(price)", "What is the average price of the products that were delivered?"),
        ("s.category, avg(price)", "What is the average price of products for customers in Japan?"),
        ("s.category, avg(price + p.id)", "What is the average price of products?"),
        ("s.category, avg(price)", "Produkte und Rating, bitte"),
        ("s.category, avg(price)", "What is the average of it?"),
    ],
)
def test_purchases_that_may_be_meant_are_left_in(values: str, said: str) -> None:
    sql = f"SELECT {values} {PURCHASES} p JOIN {PRODUCTS} ON s.name = p.product_name GROUP BY s.category"
    assert without_excess(sql, said) == (written(sql), [])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("s.category, count(*)", "How many products were bought in each category?"),
        ("s.category, sum(quantity)", "Which products are there?"),
        ("s.category, max(p.id)", "Which products are there?"),
        ("s.category, count(*)", "Which categories are there for pro?"),
        ("s.category, count(*)", "How many new laptops did they order?"),
    ],
)
def test_purchases_that_may_be_meant_are_read(values: str, said: str) -> None:
    sql = f"SELECT {values} {PURCHASES} p JOIN {PRODUCTS} ON s.name = p.product_name GROUP BY s.category"
    assert without_excess(sql, said) == (written(sql), [])


def test_a_limit_that_nobody_asked_for_goes() -> None:
    sql, notes = without_excess(f"SELECT name {USERS} ORDER BY id LIMIT 10", "Which customers live in Japan?")
    assert sql == written(f"SELECT name {USERS} ORDER BY id")
    assert notes == ["LIMIT was taken out: the question asks for no number of rows."]


def test_a_limit_that_only_bounds_the_rows_stays() -> None:
    sql = f"SELECT name {USERS} ORDER BY id LIMIT 100"
    assert without_excess(sql, "Which customers live in Japan?") == (written(sql), [])


@pytest.mark.parametrize(
    "said",
    [
        "The 10 customers",
        "Ten customers",
        "Who are the newest customers?",
        "Our top customers",
        "Show some customers",
        "Customers, please",
    ],
)
def test_a_limit_that_was_asked_for_stays(said: str) -> None:
    sql = f"SELECT name {USERS} ORDER BY id LIMIT 10"
    assert without_excess(sql, said) == (written(sql), [])


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        (
            f"SELECT country, count(*) AS n {USERS} GROUP BY country ORDER BY n DESC LIMIT 1",
            f"SELECT country {USERS} GROUP BY country ORDER BY count(*) DESC LIMIT 1",
        ),
        (
            f"SELECT country, count(*) {USERS} GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
            f"SELECT country {USERS} GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        ),
        (
            f"WITH c AS (SELECT country, count(*) AS n {USERS} GROUP BY country) "
            "SELECT country, n FROM c ORDER BY n DESC LIMIT 1",
            f"WITH c AS (SELECT country, count(*) AS n {USERS} GROUP BY country) "
            "SELECT country FROM c ORDER BY n DESC LIMIT 1",
        ),
    ],
)
def test_the_one_that_is_asked_for_stands_alone(sql: str, left: str) -> None:
    changed, notes = without_excess(sql, "Which country has the most customers?")
    assert changed == written(left)
    assert notes == ["What the rows are sorted by is not shown: the question does not ask for it."]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            f"SELECT country, count(*) AS n {USERS} GROUP BY country ORDER BY n DESC LIMIT 1",
            "Which country has the most customers, and how many?",
        ),
        (f"SELECT country, count(*) AS n {USERS} GROUP BY country ORDER BY n DESC LIMIT 5", "Which 5 have the most?"),
        (f"SELECT id, country {USERS} ORDER BY id DESC LIMIT 1", "Which customer is the newest?"),
        (f"SELECT count(*) AS n {USERS} ORDER BY n DESC LIMIT 1", "Which country has the most customers?"),
    ],
)
def test_what_else_is_asked_for_stays(sql: str, said: str) -> None:
    assert without_excess(sql, said) == (written(sql), [])


@pytest.mark.parametrize("entry", verified.shipped(), ids=lambda entry: str(entry.question))
def test_a_verified_query_has_nothing_beyond_its_question(entry: verified.Verified) -> None:
    assert without_excess(entry.sql, entry.question) == (written(entry.sql), [])


def test_nothing_is_taken_out_of_an_analysts_query_without_a_question() -> None:
    for statement in legitimate():
        assert without_excess(statement.sql, "")[1] == [], statement.sql
