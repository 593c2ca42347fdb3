import postgast
import pytest

from data_agent import guard, hints
from data_agent.samples import Known

KNOWN = Known(
    {
        "analytics_users.plan": ("enterprise", "free", "pro"),
        "analytics_users.country": ("Germany", "United Kingdom", "United States"),
        "analytics_purchases.status": ("cancelled", "completed", "pending", "refunded"),
        "analytics_product_specs.category": ("Headphones", "Laptops"),
        "analytics_product_specs.name": tuple(f"Norvik Slate {number} Laptop" for number in range(30)),
    }
)


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        ("plan = 'Pro'", "plan = 'pro'"),
        ("'FREE' = u.plan", "'free' = u.plan"),
        ("country = 'USA'", "country = 'United States'"),
        ("u.country <> 'U.K.'", "u.country <> 'United Kingdom'"),
        ("country IN ('germany', 'United States')", "country IN ('Germany', 'United States')"),
        ("country = 'Germny'", "country = 'Germany'"),
    ],
)
def test_slips_are_put_right_and_said(condition: str, meant: str) -> None:
    mended = hints.mend(f"SELECT count(*) FROM analytics_users u WHERE {condition}", KNOWN)
    assert mended.sql == f"SELECT count(*) FROM analytics_users u WHERE {meant}"
    assert len(mended.notes) == 1
    assert "as the data has it" in mended.notes[0]
    assert mended.problems == ()
    assert guard.check(mended.sql).allowed


def test_singular_and_plural_are_the_same() -> None:
    mended = hints.mend("SELECT count(*) FROM analytics_product_specs WHERE category = 'laptop'", KNOWN)
    assert "category = 'Laptops'" in mended.sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM analytics_users WHERE plan = 'pro' AND country IN ('Germany')",
        "SELECT count(*) FROM analytics_users WHERE name = 'Pro'",
        "SELECT count(*) FROM analytics_users WHERE lower(plan) = 'PRO'",
        "SELECT count(*) FROM analytics_users WHERE plan LIKE 'Pro%'",
        "SELECT 'Pro' AS plan FROM analytics_users",
        "SELECT specs ->> 'Plan' FROM analytics_product_specs",
    ],
)
def test_what_is_right_or_unknown_stays_as_it_is(sql: str) -> None:
    assert hints.mend(sql, KNOWN) == hints.Mended(sql)


def test_values_that_are_not_there_are_told_with_those_that_are() -> None:
    mended = hints.mend("SELECT count(*) FROM analytics_users WHERE country = 'Atlantis'", KNOWN)
    assert mended.problems == (
        "No row has country = 'Atlantis'; the values are Germany, United Kingdom, United States.",
    )
    product = hints.mend("SELECT 1 FROM analytics_purchases WHERE product_name = 'Sofa'", KNOWN)
    assert product.problems == ("No row has product_name = 'Sofa'.",)


@pytest.mark.parametrize("sql", ["", "SELEC", "SELECT 1 + " + "1 + " * 3_000 + "1", "x" * 10_000])
def test_what_cannot_be_parsed_stays_as_it_is(sql: str) -> None:
    assert hints.mend(sql, KNOWN) == hints.Mended(sql)


def test_postgresqls_errors_come_with_what_to_do() -> None:
    error = 'PostgreSQL: column "s.id" must appear in the GROUP BY clause or be used in an aggregate function.'
    assert "HAVING" in hints.advice(error)
    assert "nullif" in hints.advice("PostgreSQL: division by zero.")
    assert hints.advice("Only SELECT is allowed, not delete.") == ""


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        (
            "SELECT avg(unit_price) FROM analytics_purchases WHERE product_name = 'laptop'",
            "SELECT avg(unit_price) FROM analytics_purchases WHERE product_name IN "
            "(SELECT name FROM analytics_product_specs WHERE category = 'Laptops')",
        ),
        (
            "SELECT count(*) FROM analytics_users u WHERE u.country = 'Pro'",
            "SELECT count(*) FROM analytics_users u WHERE u.plan = 'pro'",
        ),
    ],
)
def test_a_value_of_another_column_is_looked_for_there(sql: str, meant: str) -> None:
    mended = hints.mend(sql, KNOWN)
    assert mended.sql == postgast.deparse(postgast.parse(meant))
    assert mended.problems == ()
    assert "it is looked for in" in mended.notes[0]
