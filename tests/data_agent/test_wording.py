import pytest

from data_agent import wording
from data_agent.samples import Known

KNOWN = Known({"analytics_users.plan": ("free", "pro"), "analytics_product_specs.category": ("Laptops", "Tablets")})


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Which products are new?", "products"),
        ("How many different countries are there?", "countries"),
        ("How many light tablets are there?", "products"),
        ("Which brand makes laptops?", "brand"),
        ("How much was paid?", None),
        ("How many purchases of laptops were made?", None),
        ("Wie viele Kunden gibt es?", None),
    ],
)
def test_what_is_asked_for(question: str, asked: str | None) -> None:
    assert wording.asked_for(question, KNOWN) == asked


@pytest.mark.parametrize(
    ("said", "does"),
    [
        ("How many laptops were sold?", True),
        ("Which customers are on the pro plan?", False),
        ("Which customers have a laptop?", True),
        ("What do customers from Japan rate the products?", True),
        ("Which category has the best rating?", False),
        ("What is the average price of products that customers own?", True),
    ],
)
def test_whether_purchases_may_be_meant(said: str, does: bool) -> None:
    assert wording.speaks_of_purchases(said, KNOWN) is does
