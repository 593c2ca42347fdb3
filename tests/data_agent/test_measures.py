import pytest

from data_agent import guard, measures
from data_agent.samples import Known
from tests.data_agent.rewriting import rewritten, written

USERS = "FROM analytics_users"
BOUGHT = "FROM analytics_purchases AS p JOIN analytics_product_specs AS s ON s.name = p.product_name"
KNOWN = Known(
    {
        "analytics_users.plan": ("enterprise", "free", "pro"),
        "analytics_product_specs.category": ("Laptops", "Tablets"),
        "analytics_product_specs.name": ("Norvik Slate 7",),
    }
)


def corrected(sql: str, question: str) -> tuple[str, list[str]]:
    return rewritten(sql, lambda tree: measures.correct(tree, question, KNOWN))


@pytest.mark.parametrize("counted", ["count(*)", "count(p.id)", "count(p.user_id)"])
def test_customers_who_bought_are_counted_once(counted: str) -> None:
    sql, notes = corrected(f"SELECT {counted} AS n {BOUGHT}", "How many pro customers bought laptops?")
    assert sql == written(f"SELECT count(DISTINCT p.user_id) AS n {BOUGHT}")
    assert notes == ["Each customer is counted once now, however often they bought."]


@pytest.mark.parametrize("name", ["name", "u.name"])
def test_customers_of_the_same_name_are_several(name: str) -> None:
    sql, notes = corrected(f"SELECT count(DISTINCT {name}) {USERS} u", "How many different customers are there?")
    assert sql == written(f"SELECT count(DISTINCT u.id) {USERS} u")
    assert len(notes) == 1


@pytest.mark.parametrize(
    "question",
    [
        "How many pieces were bought?",
        "The number of units in 2025",
        "How many laptops were sold in 2025?",
        "How many Norvik Slate 7 did people buy?",
        "How many laptops (units) did customers in Canada buy?",
        "Units sold in 2025",
        "What is the total number of items bought?",
        "How many individual items were sold?",
        "Which number in units went to Canada?",
    ],
)
def test_pieces_are_added_up(question: str) -> None:
    sql, notes = corrected(f"SELECT count(*) AS n {BOUGHT} WHERE s.brand = 'Norvik'", question)
    assert sql == written(f"SELECT sum(p.quantity) AS n {BOUGHT} WHERE s.brand = 'Norvik'")
    assert notes == ["Pieces are counted now, not purchases."]
    assert guard.check(sql).allowed


@pytest.mark.parametrize(
    ("question", "times"),
    [("How many customers ordered more than 3 times?", 3), ("Who bought at least twice?", 2), ("With 5 purchases?", 5)],
)
def test_times_are_counted(question: str, times: int) -> None:
    template = "SELECT user_id FROM analytics_purchases GROUP BY user_id HAVING {} >= {}"
    sql, notes = corrected(template.format("sum(quantity)", times), question)
    assert sql == written(template.format("count(*)", times))
    assert notes == ["Purchases are counted now, not pieces."]
    sql = written(template.format("sum(quantity)", times + 1))
    assert corrected(sql, question) == (sql, [])


def test_who_bought_so_often_is_found_among_all_purchases() -> None:
    count = "SELECT count(DISTINCT p.user_id) FROM analytics_purchases p WHERE"
    sql, notes = corrected(f"{count} p.quantity > 3", "How many customers bought more than 3 times?")
    often = "SELECT user_id FROM analytics_purchases GROUP BY user_id HAVING count(*) > 3"
    assert sql == written(f"{count} p.user_id IN ({often})")
    assert notes == ["Purchases are counted now, not pieces."]
    for other in (f"{count} p.quantity > 3 AND p.id < 9", f"{count} p.quantity > 4", f"{count} p.id > 3"):
        assert corrected(other, "How many customers bought more than 3 times?") == (written(other), [])


@pytest.mark.parametrize(
    ("sql", "question"),
    [
        (f"SELECT count(*) {USERS}", "How many laptops were sold?"),
        (f"SELECT count(*) {BOUGHT}", "How many purchases were made by customers?"),
        (f"SELECT count(*) {BOUGHT}", "How many purchases of laptops were made?"),
        (f"SELECT count(*) {BOUGHT} WHERE quantity > 10", "How many purchases have more than 10 pieces?"),
        (f"SELECT count(*) {BOUGHT}", "How many purchases with 3 units sold at once were made?"),
        (f"SELECT count(*) {BOUGHT}", "How many orders contain several units sold together?"),
        (f"SELECT count(*) {BOUGHT}", "How many different items were bought?"),
        (f"SELECT count(*) {BOUGHT}", "How many line items were refunded?"),
        (f"SELECT sum(quantity), count(*) {BOUGHT}", "How many units were sold?"),
        ("SELECT count(*) FROM analytics_product_specs", "How many laptops are there?"),
        (f"SELECT count(DISTINCT product_name) {BOUGHT}", "How many different products were sold?"),
        (f"SELECT count(*) {USERS}", "How many customers are there?"),
        (f"SELECT count(DISTINCT p.user_id) {BOUGHT}", "How many customers bought something?"),
        (f"SELECT count(DISTINCT country) {USERS}", "How many customers' countries are there?"),
        (
            "SELECT count(*) FROM (SELECT user_id FROM analytics_purchases GROUP BY user_id) AS x",
            "How many customers bought something?",
        ),
    ],
)
def test_other_counts_are_left_alone(sql: str, question: str) -> None:
    assert corrected(sql, question) == (written(sql), [])
